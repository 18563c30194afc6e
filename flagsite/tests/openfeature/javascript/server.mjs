// Asks with @openfeature/ofrep-provider on @openfeature/server-sdk, as docs/openfeature.md says.
// Standard input: {"url", "key", "questions": [{"type", "flag", "default", "context"}]}; output: the details of each.
import { readFileSync } from "node:fs";
import { OpenFeature } from "@openfeature/server-sdk";
import { OFREPProvider } from "@openfeature/ofrep-provider";

const { url, key, questions } = JSON.parse(readFileSync(0, "utf8"));

await OpenFeature.setProviderAndWait(
  new OFREPProvider({ baseUrl: url, headers: [["Authorization", `Bearer ${key}`]] }),
);
const client = OpenFeature.getClient();
const ask = {
  boolean: (question) => client.getBooleanDetails(question.flag, question.default, question.context),
  number: (question) => client.getNumberDetails(question.flag, question.default, question.context),
  object: (question) => client.getObjectDetails(question.flag, question.default, question.context),
  string: (question) => client.getStringDetails(question.flag, question.default, question.context),
};
const answers = [];
for (const question of questions) answers.push(await ask[question.type](question));
console.log(JSON.stringify(answers));
