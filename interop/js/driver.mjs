// The JavaScript side of the interop tests: reads one JSON command per line from stdin, answers one JSON line for each.
//
//   {"id": 1, "cmd": "open", "dir": "/tmp/x", "v": "6"}  →  {"id": 1, "result": {"feed": 1, "length": 0, …}}
//                                                     or  {"id": 1, "error": "No hypercore is stored here"}
//
// Commands run at the same time: a download may wait while others are answered. The process ends when stdin ends. Given arguments
// instead (node driver.mjs '{"cmd": …}' …) it runs them in order, prints the answers, and ends.
import './polyfill.mjs'
import readline from 'node:readline'
import { versions, release, protocolRelease } from './hypercores.mjs'
import { commands as feedCommands } from './feeds.mjs'
import { commands as wireCommands } from './wire.mjs'

const commands = {
  versions: () => ({
    node: process.version,
    hypercore: Object.fromEntries(versions.map(v => [v, release(v)])),
    protocol: protocolRelease()
  }),
  ...feedCommands,
  ...wireCommands
}

// libp2p takes a second to load and most runs do without it.
for (const name of ['p2pStart', 'p2pStop', 'p2pConnect', 'p2pReplicate', 'p2pServe', 'p2pProvide', 'p2pFind']) {
  commands[name] = async args => (await import('./p2p.mjs')).commands[name](args)
}

// Errors thrown inside hypercore 6's callbacks (it throws on some hostile input) must not end the driver silently.
process.on('uncaughtException', err => {
  process.stderr.write(`uncaught: ${err.stack}\n`)
  process.stdout.write(JSON.stringify({ fatal: String(err.message) }) + '\n', () => process.exit(1))
})

async function run (line) {
  const { id, cmd, ...args } = JSON.parse(line)
  try {
    if (!Object.hasOwn(commands, cmd)) throw new Error(`unknown command ${cmd}`)
    return { id, result: (await commands[cmd](args)) ?? {} }
  } catch (err) {
    return { id, error: String(err?.message || err), code: err?.code }
  }
}

const lines = process.argv.slice(2)
if (lines.length) {
  for (const line of lines) process.stdout.write(JSON.stringify(await run(line)) + '\n')
  process.exit(0)
}
const input = readline.createInterface({ input: process.stdin })
input.on('line', async line => { process.stdout.write(JSON.stringify(await run(line)) + '\n') })
input.on('close', () => process.exit(0))
