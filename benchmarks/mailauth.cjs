// Seconds of processor time that mailauth's DKIM verification takes: node mailauth.cjs FOLDER MESSAGE KEY RUNS
// FOLDER holds node_modules; KEY is a file with the key record. Two runs before the measured ones warm the compiler.
const fs = require("node:fs");
const [folder, message, key, runs] = process.argv.slice(2);
const { dkimVerify } = require(require.resolve("mailauth", { paths: [folder] }));
const record = fs.readFileSync(key, "utf8");
const resolver = async () => [[record]];

(async () => {
    const taken = [];
    for (let run = -2; run < Number(runs); run += 1) {
        const before = process.cpuUsage();
        const { results } = await dkimVerify(fs.readFileSync(message), { resolver });
        if (results[0].status.result !== "pass") throw new Error(JSON.stringify(results[0].status));
        const { user, system } = process.cpuUsage(before);
        if (run >= 0) taken.push((user + system) / 1e6);
    }
    console.log(JSON.stringify(taken));
})();
