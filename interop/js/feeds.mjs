// Commands on one feed directory: open with any npm version, append, read, clear, audit, sparse downloads.
import crypto from 'node:crypto'
import { hypercore, module } from './hypercores.mjs'
import { block } from './content.mjs'
import { patience } from './patience.mjs'

const feeds = new Map()
let nextFeed = 1

// feed(handle) is the hypercore behind a handle that open returned.
export function feed (handle) {
  const f = feeds.get(handle)
  if (!f) throw new Error(`no feed ${handle}`)
  return f
}

// call(fn, ...args) turns a callback method into a promise; several results become an array.
export function call (obj, method, ...args) {
  return new Promise((resolve, reject) => {
    obj[method](...args, (err, ...res) => err ? reject(err) : resolve(res.length > 1 ? res : res[0]))
  })
}

// each reads every block that is here, in order: runs of up to 256 with getBatch, single ones with get.
async function each (f, fn) {
  for (let i = 0; i < f.length; i++) {
    if (!f.has(i)) continue
    let end = i + 1
    while (end < f.length && end - i < 256 && f.has(end)) end++
    if (end - i < 8) {
      fn(i, await call(f, 'get', i, { wait: false }))
      continue
    }
    for (const b of await call(f, 'getBatch', i, end, { wait: false })) fn(i++, b)
    i--
  }
}

const hex = b => b ? Buffer.from(b).toString('hex') : null

function describe (f) {
  return {
    key: hex(f.key),
    discoveryKey: hex(f.discoveryKey),
    secretKey: hex(f.secretKey),
    length: f.length,
    byteLength: f.byteLength,
    writable: f.writable,
    live: f.live,
    downloaded: downloadedBlocks(f)
  }
}

function downloadedBlocks (f) {
  let n = 0
  for (let i = 0; i < f.length; i++) if (f.bitfield.get(i)) n++
  return n
}

// ready waits for the first 'ready' or 'error': a failed open of hypercore 6 never calls back.
function ready (f) {
  return new Promise((resolve, reject) => {
    f.on('error', reject)
    f.ready(err => err ? reject(err) : resolve())
  })
}

// closeAll closes every feed; one that does not close within a second is left to itself.
export async function closeAll () {
  const list = [...feeds.values()]
  feeds.clear()
  await Promise.all(list.map(f => new Promise(resolve => {
    const t = setTimeout(resolve, 1000)
    f.close(() => { clearTimeout(t); resolve() })
  })))
}

// feedStates tells what each feed has, waits for, and asked its peers for.
export function feedStates () {
  return [...feeds].map(([handle, f]) => ({
    feed: handle,
    version: versionOf.get(f),
    length: f.length,
    downloaded: f.length < 100000 ? downloadedBlocks(f) : undefined,
    waiting: f._waiting?.map(w => w.bytes ? `byte ${w.bytes}` : `block ${w.index}`).slice(0, 20),
    selections: f._selections?.map(s => `${s.start} to ${s.end}${s.hash ? ', hashes' : ''}`).slice(0, 20),
    peers: f.peers?.map(p => ({
      remoteLength: p.remoteLength,
      downloading: p.downloading,
      remoteDownloading: p.remoteDownloading,
      remoteWant: p.remoteWant,
      inflightWants: p.inflightWants,
      inflight: p.inflightRequests?.map(r => `${r.index}${r.hash ? ', hash' : ''}${r.bytes ? `, byte ${r.bytes}` : ''}, tick ${r.tick}`)
    }))
  }))
}

const versionOf = new WeakMap()

export const commands = {
  // keyPair {seed?} makes an Ed25519 key pair with the crypto of hypercore 6.
  keyPair ({ seed }) {
    const kp = module('hypercore-crypto').keyPair(seed ? Buffer.from(seed, 'hex') : undefined)
    return { key: hex(kp.publicKey), secretKey: hex(kp.secretKey) }
  },

  // open {dir, v, key?, secretKey?, opts} opens or creates a directory and answers with a handle.
  async open ({ dir, v, key, secretKey, opts = {} }) {
    const o = { ...opts }
    if (secretKey) o.secretKey = Buffer.from(secretKey, 'hex')
    const f = hypercore(v)(dir, key ? Buffer.from(key, 'hex') : null, o)
    try {
      await ready(f)
    } catch (err) {
      await new Promise(resolve => f._storage.close(() => resolve()))
      throw err
    }
    const handle = nextFeed++
    feeds.set(handle, f)
    versionOf.set(f, v)
    return { feed: handle, ...describe(f) }
  },

  info ({ feed: h }) { return describe(feed(h)) },

  async close ({ feed: h }) {
    const f = feed(h)
    feeds.delete(h)
    await call(f, 'close')
  },

  // append {feed, blocks: [base64]} appends one batch and answers with the index of the first.
  async append ({ feed: h, blocks }) {
    const f = feed(h)
    const first = await call(f, 'append', blocks.map(b => Buffer.from(b, 'base64')))
    return { first, length: f.length }
  },

  // generate {feed, seed, from?, count, min, max, batch} appends generated blocks; block i of the feed is content i of the seed.
  async generate ({ feed: h, seed, count, min, max, batch = 64 }) {
    const f = feed(h)
    const end = f.length + count
    while (f.length < end) {
      const list = []
      for (let i = f.length; i < end && list.length < batch; i++) list.push(block(seed, i, min, max ?? min))
      await call(f, 'append', list)
    }
    return { length: f.length, byteLength: f.byteLength }
  },

  async get ({ feed: h, index, timeout = patience, wait }) {
    return { value: (await call(feed(h), 'get', index, { timeout, wait, valueEncoding: 'binary' })).toString('base64') }
  },

  // digest {feed} reads every block that is here: how many, sha256 over index, size and bytes of each, and sha256 over the bytes alone.
  async digest ({ feed: h }) {
    const framed = crypto.createHash('sha256')
    const plain = crypto.createHash('sha256')
    let blocks = 0
    let bytes = 0
    await each(feed(h), (i, b) => {
      const head = Buffer.alloc(12)
      head.writeBigUInt64BE(BigInt(i))
      head.writeUInt32BE(b.length, 8)
      framed.update(head).update(b)
      plain.update(b)
      blocks++
      bytes += b.length
    })
    return { blocks, bytes, framed: framed.digest('hex'), sha256: plain.digest('hex') }
  },

  // check {feed, seed, min, max} reads every block that is here and compares it with the generated one.
  async check ({ feed: h, seed, min, max }) {
    const f = feed(h)
    let blocks = 0
    await each(f, (i, b) => {
      if (!b.equals(block(seed, i, min, max ?? min))) throw new Error(`block ${i} differs`)
      blocks++
    })
    return { blocks, length: f.length }
  },

  // has {feed} answers with the present blocks as ranges [start, end).
  has ({ feed: h }) {
    const f = feed(h)
    const ranges = []
    for (let i = 0; i < f.length; i++) {
      if (!f.has(i)) continue
      if (ranges.length && ranges[ranges.length - 1][1] === i) ranges[ranges.length - 1][1]++
      else ranges.push([i, i + 1])
    }
    return { ranges }
  },

  async clear ({ feed: h, start, end }) { await call(feed(h), 'clear', start, end) },

  async finalize ({ feed: h }) {
    const f = feed(h)
    await call(f, 'finalize')
    return describe(f)
  },

  // audit {feed} is hypercore's own: hashes every block that is here against its node.
  async audit ({ feed: h }) { return await call(feed(h), 'audit') },

  // verify {feed, index?} reads the signature that covers the index (default: the last block) and checks it over the roots.
  async verify ({ feed: h, index }) {
    const f = feed(h)
    const s = await call(f, 'signature', index ?? f.length - 1)
    await call(f, 'verify', s.index, s.signature)
    return { index: s.index, signature: hex(s.signature) }
  },

  async seek ({ feed: h, bytes, wait }) {
    const [index, offset] = await call(feed(h), 'seek', bytes, { wait })
    return { index, offset }
  },

  // download {feed, start, end, linear, hash} waits until the range is here.
  async download ({ feed: h, start, end, linear, hash, timeout = patience }) {
    let timer
    const late = new Promise((resolve, reject) => { timer = setTimeout(() => reject(new Error(`not complete after ${timeout} ms`)), timeout) })
    await Promise.race([call(feed(h), 'download', { start, end, linear, hash }), late]).finally(() => clearTimeout(timer))
  },

  // untilNode {feed, index} waits until a node of the tree is here: hashes count for no block.
  async untilNode ({ feed: h, index, timeout = patience }) {
    const f = feed(h)
    const end = Date.now() + timeout
    while (!f.tree.get(index)) {
      if (Date.now() > end) throw new Error(`no node ${index} after ${timeout} ms`)
      await new Promise(resolve => setTimeout(resolve, 5))
    }
  },

  // asked {feed, index} tells whether a block is here or a peer was asked for it, and not for its hash alone.
  asked ({ feed: h, index }) {
    const f = feed(h)
    return { asked: f.has(index) || f.peers.some(p => p.inflightRequests.some(r => r.index === index && !r.hash)) }
  },

  // until {feed, length?, blocks?} waits until the feed has that length and that many blocks, as long as more come; polling works for
  // every version alike.
  async until ({ feed: h, length = 0, blocks = 0, timeout = patience }) {
    const f = feed(h)
    const pause = length > 100000 ? 200 : 5 // counting the blocks of a large feed takes a while
    let last = 0
    let moved = Date.now()
    while (true) {
      const here = f.downloaded()
      if (f.length >= length && here >= blocks) return { length: f.length, blocks: here }
      if (f.length + here > last) {
        last = f.length + here
        moved = Date.now()
      }
      if (Date.now() - moved > timeout) throw new Error(`still ${f.length} long with ${here} blocks, nothing came for ${timeout} ms`)
      await new Promise(resolve => setTimeout(resolve, pause))
    }
  }
}
