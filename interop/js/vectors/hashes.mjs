// keys.json, hashes.json, xsalsa20.json: hypercore-crypto and the stream cipher of hypercore-protocol.
import { module } from '../hypercores.mjs'
import { header, hex, fill, keyPair } from './fixtures.mjs'

const crypto = module('hypercore-crypto')
const range = n => Buffer.from(Array.from({ length: n }, (_, i) => i))

export function keys () {
  const seeds = [fill(32, 0), fill(32, 1), fill(32, 255), range(32), keyPair.secretKey.subarray(0, 32)]
  const publics = [fill(32, 0), fill(32, 255), Buffer.from('deadbeefdeadbeefdeadbeefdeadbeef')]
  return {
    ...header('discoveryKey = BLAKE2b-256(key = public key, message = "hypercore"); secret key = seed || public key'),
    pairs: seeds.map(seed => {
      const kp = crypto.keyPair(seed)
      return {
        seed: hex(seed),
        publicKey: hex(kp.publicKey),
        secretKey: hex(kp.secretKey),
        discoveryKey: hex(crypto.discoveryKey(kp.publicKey)),
        signatureOfEmpty: hex(crypto.sign(Buffer.alloc(0), kp.secretKey)),
        signatureOf32Zeros: hex(crypto.sign(fill(32, 0), kp.secretKey))
      }
    }),
    discoveryKeys: publics.map(key => ({ key: hex(key), discoveryKey: hex(crypto.discoveryKey(key)) }))
  }
}

export function hashes () {
  const node = (index, size, byte) => ({ index, size, hash: fill(32, byte) })
  const plain = n => ({ index: n.index, size: n.size, hash: hex(n.hash) })
  const parents = [
    [node(0, 1, 1), node(2, 2, 2)],
    [node(2, 2, 2), node(0, 1, 1)], // given in the wrong order: the lower index still comes first
    [node(1, 3, 3), node(5, 2 ** 40, 4)],
    [node(4, 0, 5), node(6, 0, 6)]
  ]
  const roots = [
    [],
    [node(0, 1, 1)],
    [node(7, 800, 1), node(17, 200, 2)],
    [node(3, 2 ** 33, 3), node(9, 4, 4), node(12, 0, 5)]
  ]
  return {
    ...header('BLAKE2b-256. leaf: 00 | u64be(len) | data. parent: 01 | u64be(size a + size b) | hash(lower index) | hash(higher index). tree: 02 | for each root: hash | u64be(index) | u64be(size)'),
    leaves: [Buffer.alloc(0), Buffer.from('a'), Buffer.from('hello'), fill(1000, 7)].map(data => ({ data: hex(data), hash: hex(crypto.data(data)) })),
    parents: parents.map(([a, b]) => ({ a: plain(a), b: plain(b), hash: hex(crypto.parent(a, b)), size: a.size + b.size })),
    trees: roots.map(list => ({ roots: list.map(plain), hash: hex(crypto.tree(list)) }))
  }
}

export function xsalsa20 () {
  const pairs = [[fill(32, 0), fill(24, 0)], [keyPair.publicKey, fill(24, 1)], [keyPair.publicKey, range(24)]]
  return {
    ...header('XSalsa20 keystream (= XOR of zeros), position 0 onwards; independent of how the stream is cut'),
    cases: pairs.map(([key, nonce]) => {
      const stream = Buffer.alloc(300)
      module('sodium-universal').crypto_stream_xor_instance(nonce, key).update(stream, stream)
      return { key: hex(key), nonce: hex(nonce), keystream300: hex(stream) }
    })
  }
}

