// One side of a measurement: `node bench.mjs npm6|npm9|npm11` reads one request
// a line from stdin, answers one line each to stdout, and ends with its input.
// The requests are those of the Go program in ../compare (role.go).
import crypto from 'node:crypto'
import fs from 'node:fs'
import net from 'node:net'
import readline from 'node:readline'
import { load } from './hypercores.mjs'

const Hyper = load(process.argv[2])
const seconds = () => Number(process.hrtime.bigint()) / 1e9

let feed = null

// peakMemory is the high-water mark of the resident set, in bytes.
function peakMemory () {
  try {
    const m = /VmHWM:\s+(\d+) kB/.exec(fs.readFileSync('/proc/self/status', 'latin1'))
    if (m) return Number(m[1]) * 1024
  } catch {}
  return process.resourceUsage().maxRSS * 1024
}

function usage () {
  const { user, system } = process.cpuUsage()
  return { cpu: (user + system) / 1e6, memory: peakMemory() }
}

// blocksOf yields the data set in batches, straight from its file.
function * blocksOf ({ file, block, count }, batch) {
  const fd = fs.openSync(file, 'r')
  try {
    for (let i = 0; i < count; i += batch) {
      const n = Math.min(batch, count - i)
      const b = Buffer.allocUnsafe(n * block)
      if (fs.readSync(fd, b, 0, b.length, i * block) !== b.length) throw new Error(`${file} is short`)
      const list = new Array(n)
      for (let j = 0; j < n; j++) list[j] = b.subarray(j * block, (j + 1) * block)
      yield list
    }
  } finally {
    fs.closeSync(fd)
  }
}

function listen (onsocket) {
  return new Promise((resolve, reject) => {
    const server = net.createServer(socket => {
      socket.setNoDelay(true)
      socket.on('error', () => socket.destroy())
      onsocket(socket)
    })
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => resolve(server.address().port))
  })
}

function dial (port) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => resolve(socket))
    socket.setNoDelay(true)
    socket.on('error', reject)
  })
}

async function join ({ dir, offer }) {
  const [port, key] = offer.split('/')
  feed = await Hyper.open(dir, key)
  return async () => feed.replicate(true, await dial(Number(port)))
}

async function serve () {
  const port = await listen(socket => feed.replicate(false, socket))
  return { offer: `${port}/${feed.key}` }
}

const requests = {
  usage: async () => ({}),

  // prepare fills the sender's directory with the data set.
  async prepare ({ dir, data }) {
    const f = await Hyper.open(dir)
    for (const list of blocksOf(data, 128)) await f.append(list)
    await f.close()
    return {}
  },

  async serve ({ dir }) {
    feed = await Hyper.open(dir)
    return serve()
  },

  // fetch: the clock runs from the dial to the last block verified and written.
  async fetch ({ dir, offer, data }) {
    const connect = await join({ dir, offer })
    const start = seconds()
    await connect()
    await feed.download(0, data.count)
    return { figures: { seconds: seconds() - start, blocks: data.count, bytes: data.count * data.block } }
  },

  // check reads back what the directory holds and hashes it.
  async check ({ dir, data }) {
    if (feed) await feed.close()
    feed = await Hyper.open(dir)
    const hash = crypto.createHash('sha256')
    if (feed.length < data.count) throw new Error(`${feed.length} of ${data.count} blocks`)
    for (let i = 0; i < data.count; i++) hash.update(await feed.get(i))
    return { sum: hash.digest('hex') }
  },

  // append adds data.count blocks in batches, or as many as fit into the time.
  async append ({ dir, data, batch, limit }) {
    feed = await Hyper.open(dir)
    let blocks = 0
    const source = blocksOf(data, Math.max(batch, 128))
    let took = 0
    for (const list of source) { // reading the source is not timed
      const start = seconds()
      if (batch === 1) {
        for (const b of list) await feed.append(b)
      } else {
        await feed.append(list)
      }
      took += seconds() - start
      blocks += list.length
      if (took > limit) break
    }
    return { figures: { seconds: took, blocks, bytes: blocks * data.block } }
  },

  // get reads single blocks in random order; each is compared with the data set.
  async get ({ dir, data, limit }) {
    feed = await Hyper.open(dir)
    const want = fs.readFileSync(data.file)
    const start = seconds()
    let blocks = 0
    let x = 2463534242
    while (seconds() - start < limit) {
      for (let j = 0; j < 64; j++) {
        x ^= x << 13
        x ^= x >>> 17
        x ^= x << 5
        const i = (x >>> 0) % data.count
        const b = await feed.get(i)
        if (want.compare(b, 0, b.length, i * data.block, (i + 1) * data.block) !== 0) throw new Error(`block ${i} differs`)
        blocks++
      }
    }
    return { figures: { seconds: seconds() - start, blocks, bytes: blocks * data.block } }
  },

  // read streams the feed from its beginning; each block is compared with the data set.
  async read ({ dir, data, limit }) {
    feed = await Hyper.open(dir)
    const want = fs.readFileSync(data.file)
    const start = seconds()
    let blocks = 0
    await new Promise((resolve, reject) => {
      const stream = feed.read(0, data.count)
      stream.on('error', reject)
      stream.on('end', resolve)
      stream.on('data', b => {
        if (want.compare(b, 0, b.length, blocks * data.block, (blocks + 1) * data.block) !== 0) reject(new Error(`block ${blocks} differs`))
        blocks++
        if (blocks % 64 === 0 && seconds() - start > limit) { stream.destroy(); resolve() }
      })
    })
    return { figures: { seconds: seconds() - start, blocks, bytes: blocks * data.block } }
  },

  // live: one writer, one reader that waits for each next block. Each block begins with the time of its append.
  async 'live-serve' ({ dir }) {
    feed = await Hyper.open(dir)
    return serve()
  },

  async 'live-join' ({ dir, offer }) {
    const connect = await join({ dir, offer })
    await connect()
    return {}
  },

  async 'live-write' ({ data, rate }) {
    const start = seconds()
    for (let i = 0; i < data.count; i++) {
      const wait = start + i / rate - seconds()
      if (wait > 0) await new Promise(resolve => setTimeout(resolve, wait * 1e3))
      const b = Buffer.alloc(data.block)
      b.writeBigUInt64LE(process.hrtime.bigint())
      await feed.append(b)
    }
    return {}
  },

  async 'live-read' ({ data }) {
    const late = []
    for (let i = 0; i < data.count; i++) {
      const b = await feed.get(i)
      late.push(Number(process.hrtime.bigint() - b.readBigUInt64LE()) / 1e3)
    }
    return { latencies: late }
  }
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  let reply
  try {
    const request = JSON.parse(line)
    const before = usage()
    reply = await requests[request.op](request)
    const after = usage()
    reply.usage = { cpu: request.op === 'usage' ? after.cpu : after.cpu - before.cpu, memory: after.memory }
  } catch (err) {
    reply = { error: err.message }
  }
  process.stdout.write(JSON.stringify(reply) + '\n')
}
process.exit(0)
