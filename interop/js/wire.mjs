// Replication over TCP: feeds of feeds.mjs as npm hypercore replicates them, and a bare hypercore-protocol peer that says what it is told.
import net from 'node:net'
import fs from 'node:fs'
import { module } from './hypercores.mjs'
import { feed } from './feeds.mjs'
import { patience } from './patience.mjs'

const servers = new Map()
const conns = new Map()
let next = 1

export function conn (handle) {
  const c = conns.get(handle)
  if (!c) throw new Error(`no connection ${handle}`)
  return c
}

// protocolOptions reads the JSON form: userData and id are hex, everything else goes to hypercore as it is.
export function protocolOptions (opts = {}) {
  const o = { ...opts }
  if (o.id) o.id = Buffer.from(o.id, 'hex')
  if (o.userData) o.userData = Buffer.from(o.userData, 'hex')
  return o
}

// replicate opens every feed on one stream, in order, as applications do it: the first call makes the stream, the others join it.
export function replicate (handles, opts) {
  const list = handles.map(feed)
  const o = protocolOptions(opts)
  if (list.length > 1 && o.expectedFeeds === undefined) o.expectedFeeds = list.length
  const stream = list[0].replicate(o)
  for (const f of list.slice(1)) f.replicate({ ...o, stream })
  return stream
}

// endAll cuts every connection and accepts no more.
export function endAll () {
  for (const s of servers.values()) s.server.close()
  servers.clear()
  for (const c of conns.values()) c.transport.destroy()
  conns.clear()
}

// connStates tells how far each connection is that has not ended.
export function connStates () {
  return [...conns].filter(([, c]) => !c.ended).map(([handle, c]) => ({
    conn: handle,
    first: c.first,
    error: c.error,
    bytesIn: c.bytesIn,
    bytesOut: c.bytesOut,
    quietIn: Date.now() - c.lastIn,
    quietOut: Date.now() - c.lastOut,
    unsent: c.transport.writableLength,
    paused: c.transport.isPaused?.(),
    handshake: Boolean(c.stream.remoteId)
  }))
}

// watch remembers how a connection ends: its transport is anything that pipes.
export function watch (stream, transport, record) {
  const c = { stream, transport, extensions: [], waiters: [], messages: [], bytesIn: 0, bytesOut: 0, first: null, error: null, lastIn: Date.now(), lastOut: Date.now() }
  c.done = new Promise(resolve => { c.finish = resolve })
  const log = record ? { in: fs.createWriteStream(record + '.in'), out: fs.createWriteStream(record + '.out') } : null
  transport.on('data', b => {
    c.bytesIn += b.length
    c.lastIn = Date.now()
    if (log) log.in.write(Buffer.from(b)) // a copy: the protocol decrypts in place
  })
  stream.on('data', b => {
    c.bytesOut += b.length
    c.lastOut = Date.now()
    if (log) log.out.write(b)
  })
  transport.on('end', () => { c.first ??= 'remote' })
  stream.on('end', () => { c.first ??= 'local' })
  stream.on('error', err => { c.first ??= 'local'; c.error ??= err.message; transport.destroy() })
  transport.on('error', err => { c.first ??= 'transport'; c.error ??= err.message; stream.destroy() })
  // hypercore-protocol emits 'end' when it finalized itself and only 'close' when it was destroyed
  stream.on('close', () => { c.first ??= 'local' })
  transport.on('close', () => {
    c.first ??= 'remote'
    if (!stream.destroyed) stream.destroy()
    c.ended = true
    if (log) log.in.end(() => log.out.end(c.finish))
    else c.finish()
  })
  stream.pipe(transport)
  transport.pipe(stream)
  const handle = next++
  conns.set(handle, c)
  return handle
}

// collectExtensions keeps the extension messages of the feeds: hypercore 6 leaves them on the protocol's channel, 7 emits them on the feed.
function collectExtensions (c, handles) {
  for (const h of handles) {
    const f = feed(h)
    const push = (name, payload) => {
      c.extensions.push({ feed: h, name, payload: payload.toString('base64') })
      for (const w of c.waiters.splice(0)) w()
    }
    if ('extensions' in f) {
      f.setMaxListeners(0)
      f.on('extension', (name, payload, peer) => { if (peer.stream.stream === c.stream) push(name, payload) })
      continue
    }
    f.ready(() => { if (!c.stream.destroyed) c.stream.feed(f.key).on('extension', push) })
  }
}

async function until (c, ready, what, timeout = patience) {
  const end = Date.now() + timeout
  while (!ready()) {
    const left = end - Date.now()
    if (left <= 0) throw new Error(`no ${what} after ${timeout} ms`)
    await new Promise(resolve => {
      const t = setTimeout(resolve, Math.min(left, 1000))
      c.waiters.push(() => { clearTimeout(t); resolve() })
      c.done.then(resolve)
    })
  }
}

// rawStream is hypercore-protocol alone: it announces the key, keeps every message that comes and sends only what send is told.
function rawStream (key, opts) {
  const stream = module('hypercore-protocol')(protocolOptions(opts))
  const channel = stream.feed(Buffer.from(key, 'hex'))
  return { stream, channel }
}

const plain = (k, v) => v?.type === 'Buffer' ? Buffer.from(v.data).toString('hex') : v

function collectMessages (c, channel) {
  c.channel = channel
  for (const type of ['info', 'have', 'unhave', 'want', 'unwant', 'request', 'cancel', 'data']) {
    channel.on(type, message => {
      c.messages.push({ type, message: JSON.parse(JSON.stringify(message, plain)) })
      for (const w of c.waiters.splice(0)) w()
    })
  }
  channel.on('extension', (name, payload) => {
    c.messages.push({ type: 'extension', message: { name, payload: payload.toString('hex') } })
    for (const w of c.waiters.splice(0)) w()
  })
}

function connect ({ port, host = '127.0.0.1' }) {
  return new Promise((resolve, reject) => {
    const s = net.connect(port, host, () => { s.off('error', reject); resolve(s) })
    s.once('error', reject)
  })
}

export const commands = {
  // listen {feeds, opts, record?} accepts connections and replicates the feeds on each; accept waits for the next one.
  listen ({ feeds, raw, opts, host = '127.0.0.1', record }) {
    const handle = next++
    const s = { queue: [], waiters: [] }
    s.server = net.createServer({ allowHalfOpen: false }, socket => {
      let h
      if (raw) {
        const r = rawStream(raw, opts)
        h = watch(r.stream, socket, record)
        collectMessages(conn(h), r.channel)
      } else {
        h = watch(replicate(feeds, opts), socket, record)
        collectExtensions(conn(h), feeds)
      }
      const w = s.waiters.shift()
      if (w) w(h)
      else s.queue.push(h)
    })
    servers.set(handle, s)
    return new Promise((resolve, reject) => {
      s.server.on('error', reject)
      s.server.listen(0, host, () => resolve({ server: handle, port: s.server.address().port }))
    })
  },

  async accept ({ server, timeout = patience }) {
    const s = servers.get(server)
    if (s.queue.length) return { conn: s.queue.shift() }
    return await new Promise((resolve, reject) => {
      const t = setTimeout(() => reject(new Error(`nobody connected within ${timeout} ms`)), timeout)
      s.waiters.push(h => { clearTimeout(t); resolve({ conn: h }) })
    })
  },

  // closeServer {server} accepts no more connections; those there are go on.
  closeServer ({ server }) {
    servers.get(server).server.close()
    servers.delete(server)
  },

  // dial {port, feeds, opts, record?} connects and replicates.
  async dial ({ port, host, feeds, opts, record }) {
    const socket = await connect({ port, host })
    const h = watch(replicate(feeds, opts), socket, record)
    collectExtensions(conn(h), feeds)
    return { conn: h }
  },

  // dialRaw {port, key, opts} connects a bare protocol peer.
  async dialRaw ({ port, host, key, opts, record }) {
    const socket = await connect({ port, host })
    const r = rawStream(key, opts)
    const h = watch(r.stream, socket, record)
    collectMessages(conn(h), r.channel)
    return { conn: h }
  },

  // send {conn, type, message} writes one message of a bare peer; bytes fields are hex strings.
  send ({ conn: h, type, message }) {
    const m = { ...message }
    for (const k of ['bitfield', 'value', 'signature']) if (typeof m[k] === 'string') m[k] = Buffer.from(m[k], 'hex')
    if (m.nodes?.map) m.nodes = m.nodes.map(n => ({ ...n, hash: Buffer.from(n.hash, 'hex') }))
    conn(h).channel[type](m)
  },

  // messages {conn, count?, type?, timeout?} waits for that many messages (of the type) and returns all that came.
  async messages ({ conn: h, count = 0, type, timeout }) {
    const c = conn(h)
    const pick = () => type ? c.messages.filter(m => m.type === type) : c.messages
    await until(c, () => pick().length >= count, `${count} ${type ?? ''} messages`, timeout)
    return { messages: pick() }
  },

  // ended {conn} waits for the transport to close: who ended first, with what error, after how many bytes.
  async ended ({ conn: h, timeout = patience }) {
    const c = conn(h)
    let timer
    const late = new Promise((resolve, reject) => { timer = setTimeout(() => reject(new Error(`still open after ${timeout} ms`)), timeout) })
    await Promise.race([c.done, late]).finally(() => clearTimeout(timer))
    return { first: c.first, error: c.error, bytesIn: c.bytesIn, bytesOut: c.bytesOut }
  },

  // isOpen {conn, after} tells whether the connection is still open after that many milliseconds.
  async isOpen ({ conn: h, after = 0 }) {
    const c = conn(h)
    let timer
    const open = new Promise(resolve => { timer = setTimeout(() => resolve(true), after) })
    const res = await Promise.race([c.done.then(() => false), open])
    clearTimeout(timer)
    return { open: res }
  },

  destroy ({ conn: h }) { conn(h).transport.destroy() },

  // handshake {conn} waits for the remote's Handshake.
  async handshake ({ conn: h, timeout }) {
    const c = conn(h)
    const s = c.stream
    s.once('handshake', () => { for (const w of c.waiters.splice(0)) w() })
    await until(c, () => s.remoteId, 'handshake', timeout)
    return { id: s.remoteId.toString('hex'), live: s.remoteLive, userData: s.remoteUserData?.toString('hex') ?? null, extensions: s.extensions.filter(n => s.remoteSupports(n)) }
  },

  // sendExtension {conn, feed, name, payload} and nextExtension {conn}: payloads are base64.
  sendExtension ({ conn: h, feed: f, name, payload }) {
    return { sent: conn(h).stream.feed(feed(f).key).extension(name, Buffer.from(payload, 'base64')) }
  },

  async nextExtension ({ conn: h, timeout }) {
    const c = conn(h)
    await until(c, () => c.extensions.length, 'extension message', timeout)
    return c.extensions.shift()
  }
}
