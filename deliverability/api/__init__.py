"""What `import deliverability` gives to programs: audits, explanations and the gate, in a session or one by one."""
