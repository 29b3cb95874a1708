// Checks an OpenAPI document by Redocly's rules and prints each flaw on a line of its own: rule, place, words.
//   node lint.mjs DOCUMENT
import { createConfig, lint } from "@redocly/openapi-core";

const config = await createConfig({ extends: ["recommended-strict"] });
const flaws = await lint({ ref: process.argv[2], config });
for (const f of flaws) {
  console.log(`${f.ruleId} ${f.location?.[0]?.pointer ?? ""} ${f.message.replaceAll("\n", " ")}`);
}
console.log(`checked: ${flaws.length}`);
