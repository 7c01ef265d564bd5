// The command line.

import { parseArgs } from "node:util";

export const usage = `usage: run [GATEWAY] [options]

  GATEWAY          the gateway's binary; default: target/release/openclaw, else target/debug/openclaw
  --url URL        judge a gateway that already runs (ws://HOST:PORT); it is not stopped
  --token TOKEN    its secret; default: a random one for a gateway started here
  --watch SECONDS  how long one connection is watched for gaps; default 70
  --quick          watch for 5 s only, and leave out what takes longer
  --only TEXT      only the checks whose name contains TEXT; unused exceptions do not count then
  --reference      the gateway is the reference: leave out what only ours promises, allow what only it does
  --verbose        print the gateway's own output
`;

export function readOptions(argv) {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      url: { type: "string" },
      token: { type: "string" },
      watch: { type: "string" },
      quick: { type: "boolean", default: false },
      only: { type: "string" },
      reference: { type: "boolean", default: false },
      verbose: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  const watch = Number(values.watch ?? (values.quick ? 5 : 70));
  if (!Number.isFinite(watch) || watch <= 0) throw new Error(`--watch takes a number of seconds, not ${values.watch}`);
  if (positionals.length > 1) throw new Error(`one gateway at a time: ${positionals.join(" ")}`);
  if (values.url && !values.token) throw new Error("--url needs --token");
  if (values.url && positionals.length) throw new Error("--url and a gateway to start exclude each other");
  return { ...values, watchMs: watch * 1000, gateway: positionals[0] };
}
