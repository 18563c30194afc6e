// flagd's evaluator for Node.js behind a server that does nothing else: `flagd_server.mjs PORT FLAGS`.
// It answers OFREP's evaluation of all flags; FLAGS is a file with definitions of flagd.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { FlagdCore } from '@openfeature/flagd-core';

const [port, file] = process.argv.slice(2);
const core = new FlagdCore();
core.setConfigurations(readFileSync(file, 'utf-8'));

createServer((request, response) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    const { context } = JSON.parse(Buffer.concat(parts).toString());
    const flags = core.resolveAll(context).map(({ flagKey, value, reason, variant }) => ({
      key: flagKey, value, reason, variant,
    }));
    const answer = Buffer.from(JSON.stringify({ flags }));
    response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': answer.length });
    response.end(answer);
  });
}).listen(Number(port), '127.0.0.1');
