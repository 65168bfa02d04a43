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
import { commands as feedCommands, closeAll, feedStates } from './feeds.mjs'
import { commands as wireCommands, endAll, connStates } from './wire.mjs'

// The commands that run, by id: [what was asked, since when].
const running = new Map()
let asked = 0

const commands = {
  versions: () => ({
    node: process.version,
    hypercore: Object.fromEntries(versions.map(v => [v, release(v)])),
    protocol: protocolRelease()
  }),
  // doing tells what the driver is doing: unanswered commands, connections, feeds with their peers.
  doing: () => ({
    commands: [...running.values()].map(([asked, since]) => `${asked} for ${Date.now() - since} ms`),
    conns: connStates(),
    feeds: feedStates()
  }),
  // reset ends all connections and closes all feeds.
  async reset () {
    endAll()
    await closeAll()
  },
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
  const number = ++asked
  running.set(number, [line.slice(0, 200), Date.now()])
  try {
    if (!Object.hasOwn(commands, cmd)) throw new Error(`unknown command ${cmd}`)
    return { id, result: (await commands[cmd](args)) ?? {} }
  } catch (err) {
    return { id, error: String(err?.message || err), code: err?.code }
  } finally {
    running.delete(number)
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
