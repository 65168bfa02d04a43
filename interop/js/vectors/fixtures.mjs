// What every vector file is made with: the fixed key pairs, in-memory feeds, and the layout of the JSON.
import crypto from 'node:crypto'
import { hypercore, module, release, protocolRelease } from '../hypercores.mjs'
import { call } from '../feeds.mjs'

const ram = module('random-access-memory')

export { call }
export const hex = b => b ? Buffer.from(b).toString('hex') : null
export const unhex = s => Buffer.from(s, 'hex')
export const sha256 = b => crypto.createHash('sha256').update(b).digest('hex')
export const fill = (n, byte) => Buffer.alloc(n, byte)

// keyPair is the one hypercore's own test/compat.js uses; second is that of the second feed of transcript-live-multi.
export const keyPair = module('hypercore-crypto').keyPair(unhex('53729c0311846cca9cc0eded07aaf9e6689705b6a0b1bb8c3a2a839b72fda383'))
export const second = module('hypercore-crypto').keyPair(fill(32, 2))

export const header = about => ({
  generator: `vectors/generate.js, hypercore ${release('6')}, hypercore-protocol ${protocolRelease()}`,
  about
})

// memory is a storage that keeps its files: open another feed on it and it is a reopen.
export function memory (files = {}) {
  const storage = name => (files[name] ??= ram())
  storage.bytes = name => {
    const f = files[name]
    if (!f) return Buffer.alloc(0)
    const out = Buffer.alloc(f.length)
    for (let i = 0; i * f.pageSize < f.length; i++) f.buffers[i]?.copy(out, i * f.pageSize)
    return out
  }
  storage.reopen = () => memory(Object.fromEntries(Object.keys(files).map(name => [name, ram(storage.bytes(name))])))
  return storage
}

export async function open (storage, key, opts, version = '6') {
  const f = hypercore(version)(storage, key, opts)
  await new Promise((resolve, reject) => { f.on('error', reject); f.ready(err => err ? reject(err) : resolve()) })
  return f
}

export const writer = (storage = memory(), opts, version) => open(storage, keyPair.publicKey, { secretKey: keyPair.secretKey, ...opts }, version)

// blocks appends n blocks of the size in one call.
export async function blocks (feed, n, size = 1) {
  if (n) await call(feed, 'append', Array.from({ length: n }, () => fill(size, 0x78)))
  return feed
}

// clone downloads the blocks of a feed in order, as replies to single requests with the clone's digest.
export async function clone (source, order, storage = memory()) {
  const f = await open(storage, source.key, { sparse: true })
  for (const i of order) {
    const proof = await call(source, 'proof', i, { digest: f.digest(i) })
    await call(f, 'put', i, await call(source, 'get', i), proof)
  }
  return f
}

export function bits (index, end) {
  const list = []
  for (let i = 0; i < end; i++) if (index.get(i)) list.push(i)
  return list
}

// image is a file as [offset, hex] of its parts that are not zero, with its length and hash.
export function image (b) {
  const chunks = []
  for (let i = 0; i < b.length; i++) {
    if (!b[i]) continue
    let end = i + 1
    for (let zeros = 0, k = end; k < b.length && zeros < 8; k++) {
      if (b[k]) { end = k + 1; zeros = 0 } else zeros++
    }
    chunks.push([i, hex(b.subarray(i, end))])
    i = end
  }
  return { length: b.length, sha256: sha256(b), chunks }
}

// Up to this many characters a value stays on one line.
const width = 159

// layout is JSON with one space of indent where a value does not fit on a line.
export function layout (value, indent = '') {
  const line = JSON.stringify(value)
  if (value === null || typeof value !== 'object' || line.length <= width) return line
  const inner = indent + ' '
  if (Array.isArray(value)) return '[\n' + value.map(v => inner + layout(v, inner)).join(',\n') + '\n' + indent + ']'
  const fields = Object.entries(value).filter(([, v]) => v !== undefined)
  return '{\n' + fields.map(([k, v]) => inner + JSON.stringify(k) + ': ' + layout(v, inner)).join(',\n') + '\n' + indent + '}'
}
