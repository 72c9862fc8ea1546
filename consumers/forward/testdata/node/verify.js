// Reads one JSON document from standard input: a list of {secret, raw, headers, body,
// good}. Exits 1 unless the reference library takes the good ones and no others.
const { Webhook } = require("standardwebhooks");
const { readFileSync } = require("node:fs");

for (const [i, c] of JSON.parse(readFileSync(0, "utf8")).entries()) {
  const webhook = new Webhook(c.secret, c.raw ? { format: "raw" } : undefined);
  let good = true;
  try {
    webhook.verify(c.body, c.headers);
  } catch (err) {
    good = false;
    if (c.good) {
      console.error(`case ${i}: ${err.message}`);
      process.exit(1);
    }
  }
  if (good && !c.good) {
    console.error(`case ${i}: it was taken`);
    process.exit(1);
  }
}
console.log("verified");
