// The npm packages under test, by the names the Go side uses: '6' (6.26.0), '6.22' (6.22.0), '7' (7.7.1), '9' (9.12.0).
//
// hypercore 6 and 7 ask for sodium-universal 2, whose native half does not load on today's Node: it falls back to
// JavaScript that hashes at 20 MB/s. The same functions of sodium-native 3 are put in its place before anything loads it;
// HYPERCORE_JS_CRYPTO=1 leaves the package as npm installs it.
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)
const packages = { 6: 'hypercore6', 6.22: 'hypercore622', 7: 'hypercore7', 9: 'hypercore9' }

if (!process.env.HYPERCORE_JS_CRYPTO) {
  const native = require('sodium-native')
  const file = require.resolve('sodium-universal')
  require.cache[file] = {
    id: file,
    filename: file,
    loaded: true,
    children: [],
    paths: [],
    exports: { ...native, crypto_stream_xor_instance: (nonce, key) => new XSalsa20(native, nonce, key) }
  }
}

// XSalsa20 is the cipher object of sodium-universal 2 (update(out, in), final()) over the state functions of sodium-native 3.
class XSalsa20 {
  constructor (native, nonce, key) {
    this.native = native
    this.state = Buffer.alloc(native.crypto_stream_xor_STATEBYTES)
    native.crypto_stream_xor_init(this.state, nonce, key)
  }

  update (out, inp) {
    if (inp.length) this.native.crypto_stream_xor_update(this.state, out, inp)
  }

  final () {
    this.native.crypto_stream_xor_final(this.state)
  }
}

export const versions = ['6', '6.22', '7', '9']

// hypercore(version) returns the constructor of that release.
export function hypercore (version) {
  const name = packages[version]
  if (!name) throw new Error(`unknown hypercore version ${version}`)
  return require(name)
}

// release(version) returns the exact version string of the installed package, protocol() that of hypercore-protocol 6.
export function release (version) { return require(packages[version] + '/package.json').version }
export function protocolRelease () { return require('hypercore-protocol/package.json').version }

// module(name) loads one of the packages hypercore 6 itself is made of.
export function module (name) { return require(name) }
