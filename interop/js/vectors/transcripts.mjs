// transcript-*.json: whole conversations of two hypercore 6 streams piped into each other, message by message in order of writing.
import { module } from '../hypercores.mjs'
import { header, memory, writer, open, call, hex, fill, keyPair, second } from './fixtures.mjs'
import { content } from '../content.mjs'
import { types, toHex } from './messages.mjs'

const schema = module('hypercore-protocol/messages')
const crypto = module('hypercore-crypto')
const varint = module('varint')
const sodium = module('sodium-universal')

const ids = { A: fill(32, 0xaa), B: fill(32, 0xbb) }
const nonces = { A: fill(24, 1), B: fill(24, 2) }

// settle waits until nothing moves: everything runs in memory and on the next tick.
const settle = () => new Promise(resolve => setTimeout(resolve, 20))

// Conversation logs what two streams write. Each write of hypercore-protocol is one frame.
class Conversation {
  constructor (key, encrypted) {
    this.log = []
    this.wire = { A: [], B: [] }
    this.sides = {}
    for (const side of ['A', 'B']) {
      this.sides[side] = { clear: null, offset: 0 }
      if (encrypted) this.sides[side].cipher = sodium.crypto_stream_xor_instance(nonces[side], key)
    }
  }

  note (note) { this.log.push({ note }) }

  // connect carries what one stream sends to the other and logs it first: the other side decrypts in place.
  connect (from, stream, other) {
    stream.on('data', data => {
      this.write(from, Buffer.from(data))
      other.write(data)
    })
    stream.on('end', () => {
      this.log.push({ from, end: true })
      other.end()
    })
  }

  write (from, wire) {
    this.wire[from].push(wire)
    const side = this.sides[from]
    const clear = Buffer.from(wire)
    // the first frame, which tells the nonce, is clear
    if (side.cipher && side.offset) side.cipher.update(clear, clear)
    this.log.push({ from, wire: hex(wire), messages: [{ offset: side.offset, ...decode(clear) }] })
    side.offset += wire.length
  }
}

function decode (frame) {
  const length = varint.decode(frame)
  if (!length) return { frame: hex(frame), length, type: 'KeepAlive' }
  let at = varint.decode.bytes
  const head = varint.decode(frame, at)
  at += varint.decode.bytes
  const out = { frame: hex(frame), length, channel: head >> 4, typeId: head & 15 }
  if (out.typeId !== 15) {
    const type = types[out.typeId]
    return { ...out, type, message: toHex(schema[type].decode(frame, at, frame.length)) }
  }
  const id = varint.decode(frame, at)
  return { ...out, type: 'Extension', message: { id, payload: hex(frame.subarray(at + varint.decode.bytes)) } }
}

// fixed runs with the nonces in the order the streams ask for them, and with scripted choices instead of Math.random: npm picks at random
// which of several blocks to ask for. Each choice is a number in [0, 1); after the last one it is always 0, the first block.
async function fixed (choices, run) {
  const bytes = sodium.randombytes_buf
  const random = Math.random
  const order = [nonces.A, nonces.B]
  sodium.randombytes_buf = b => { if (b.length === 24 && order.length) order.shift().copy(b); else bytes(b) }
  Math.random = () => choices.length ? choices.shift() : 0
  try {
    return await run()
  } finally {
    sodium.randombytes_buf = bytes
    Math.random = random
  }
}

async function describe (f, secretKey) {
  return { key: hex(f.key), secretKey: hex(secretKey), discoveryKey: hex(f.discoveryKey), length: f.length, treeHash: hex(crypto.tree(f._merkle.roots)) }
}

const options = (side, opts) => ({ ...opts, id: hex(ids[side]) })
const result = f => ({ length: f.length, byteLength: f.byteLength, downloaded: f.downloaded() })

// converse replicates the sources (side A) to the clones (side B) on one stream, runs the script between, and returns the file.
async function converse (about, { sources, clones, optsA, optsB = optsA, encrypted, secretKeys, script }) {
  const choices = []
  return await fixed(choices, async () => {
    const c = new Conversation(sources[0].key, encrypted)
    const join = (side, feeds, opts) => {
      const o = { ...opts, id: ids[side], timeout: 0 }
      if (feeds.length > 1) o.expectedFeeds = feeds.length
      const stream = feeds[0].replicate(o)
      for (const f of feeds.slice(1)) f.replicate({ ...o, stream })
      return stream
    }
    const a = join('A', sources, optsA)
    const b = join('B', clones, optsB)
    c.connect('A', a, b)
    c.connect('B', b, a)
    await settle()
    await script?.({ conversation: c, choices, a, b })
    return {
      ...header(about),
      encrypted,
      feeds: await Promise.all(sources.map((f, i) => describe(f, secretKeys[i]))),
      A: options('A', optsA),
      B: options('B', optsB),
      result: clones.map(result),
      aToB: hex(Buffer.concat(c.wire.A)),
      bToA: hex(Buffer.concat(c.wire.B)),
      log: c.log
    }
  })
}

async function five () {
  const f = await writer()
  await call(f, 'append', ['hello', 'world', ''].map(s => Buffer.from(s)))
  await call(f, 'append', ['abc', 'the fifth block'].map(s => Buffer.from(s)))
  return f
}

export async function plain () {
  const source = await five()
  return await converse('A: writable feed of 5 blocks (appended 3 + 2), B: empty clone. Not encrypted, not live: both ends finish. Block contents: "hello","world","","abc","the fifth block".', {
    sources: [source],
    clones: [await open(memory(), source.key)],
    optsA: { encrypt: false, live: false },
    encrypted: false,
    secretKeys: [keyPair.secretKey]
  })
}

export async function encrypted () {
  const source = await five()
  return await converse('the same exchange as transcript-plain, encrypted. A nonce = 24 x 01, B nonce = 24 x 02 (see the Feed messages).', {
    sources: [source],
    clones: [await open(memory(), source.key)],
    optsA: { live: false },
    encrypted: true,
    secretKeys: [keyPair.secretKey]
  })
}

export async function statics () {
  const source = await open(memory(), null, { live: false })
  await call(source, 'append', ['a', 'b', 'c'].map(s => Buffer.from(s)))
  await call(source, 'finalize')
  return await converse('static feed "a","b","c" (key = tree hash, no signatures), not encrypted, not live', {
    sources: [source],
    clones: [await open(memory(), source.key)],
    optsA: { encrypt: false, live: false },
    encrypted: false,
    secretKeys: [null]
  })
}

export async function liveMulti () {
  const first = await writer()
  const more = await open(memory(), second.publicKey, { secretKey: second.secretKey })
  const tens = (start, end) => Array.from({ length: end - start }, (_, i) => content(0, start + i, 10))
  await call(first, 'append', tens(0, 20))
  await call(more, 'append', Buffer.from('second feed'))
  const sparse = await open(memory(), first.key, { sparse: true })
  const whole = await open(memory(), more.key)
  return await converse('Two feeds on one encrypted live stream. Feed 0: 20 deterministic blocks of 10 bytes in one append, B is sparse. Feed 1: "second feed", B downloads all.', {
    sources: [first, more],
    clones: [sparse, whole],
    optsA: { live: true, extensions: ['alpha', 'beta'] },
    optsB: { live: true, extensions: ['beta', 'gamma'] },
    encrypted: true,
    secretKeys: [keyPair.secretKey, second.secretKey],
    async script ({ conversation: c, choices, a }) {
      const step = async (note, run) => {
        c.note(note)
        await run()
        await settle()
      }
      await step('B: feed0.get(3)', () => call(sparse, 'get', 3))
      await step('B: feed0.get(2) (sibling known)', () => call(sparse, 'get', 2))
      await step('B: feed0.get(17)', () => call(sparse, 'get', 17))
      await step('A: feed0.append(1 block), feed0.append([2 blocks])', async () => {
        await call(first, 'append', tens(20, 21))
        await call(first, 'append', tens(21, 23))
      })
      await step('B: feed0.get(22) (new length, new signature)', () => call(sparse, 'get', 22))
      await step('B: feed0.seek(95)', () => {
        // two draws for each request: one to pick among the things waited for, one to pick a block of [0, 16)
        for (const block of [15, 1, 7, 12, 13, 4, 0, 5, 6, 14, 8, 9, 10, 11]) choices.push(0, block / 16)
        return call(sparse, 'seek', 95)
      })
      await step('B: feed0.download({start: 11, end: 12, hash: true})', () => call(sparse, 'download', { start: 11, end: 12, hash: true }))
      await step('A: feed0.clear(5, 7)', () => call(first, 'clear', 5, 7))
      await step('A: feed1.append("more")', () => call(more, 'append', Buffer.from('more')))
      await step('A: extension "beta" on feed 0, payload "ping"', () => a.feed(first.key).extension('beta', Buffer.from('ping')))
      await step('A: keep-alive', () => a.ping())
      a.destroy()
    }
  })
}
