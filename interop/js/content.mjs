// Block contents both sides can compute: block i of seed s is the AES-128-CTR keystream under key u64be(s) | u64be(0) from
// counter u64be(i) | u64be(0). content_test.go holds the same function.
import crypto from 'node:crypto'

const zeros = Buffer.alloc(4 << 20)

export function content (seed, index, size) {
  const key = Buffer.alloc(16)
  key.writeBigUInt64BE(BigInt(seed))
  const iv = Buffer.alloc(16)
  iv.writeBigUInt64BE(BigInt(index))
  return crypto.createCipheriv('aes-128-ctr', key, iv).update(size <= zeros.length ? zeros.subarray(0, size) : Buffer.alloc(size))
}

// size of block i when sizes range over [min, max]: the first eight bytes of its own content decide.
export function sizeOf (seed, index, min, max) {
  if (max <= min) return min
  return min + Number(content(seed, index, 8).readBigUInt64BE() % BigInt(max - min + 1))
}

export function block (seed, index, min, max) { return content(seed, index, sizeOf(seed, index, min, max)) }
