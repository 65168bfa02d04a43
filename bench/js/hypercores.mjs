// The npm packages that are measured, behind one set of calls: open, append,
// get, read in order, replicate over a socket, download, close.
//
// hypercore 6 asks for sodium-universal 2, whose native half does not load on
// today's Node: it falls back to JavaScript that hashes at 20 MB/s. For a fair
// comparison the same functions of sodium-native 3 are put in its place before
// anything loads it. hypercore 9 and 11 load their native crypto by themselves.
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)
const packages = { npm6: 'hypercore6', npm9: 'hypercore9', npm11: 'hypercore11' }

function nativeSodium () {
  const native = require('sodium-native')
  const file = createRequire(require.resolve('hypercore6')).resolve('sodium-universal')
  require.cache[file] = {
    id: file,
    filename: file,
    loaded: true,
    children: [],
    paths: [],
    exports: { ...native, crypto_stream_xor_instance: (nonce, key) => new XSalsa20(native, nonce, key) }
  }
}

// XSalsa20 is the cipher object of sodium-universal 2 over the functions of sodium-native 3.
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

// load(name) returns the class that wraps one release.
export function load (name) {
  if (!packages[name]) throw new Error(`unknown system ${name}`)
  if (name === 'npm6') nativeSodium()
  const Hypercore = require(packages[name])
  return name === 'npm11' ? class extends Core { static Hypercore = Hypercore } : class extends Feed { static Hypercore = Hypercore; static v9 = name === 'npm9' }
}

const call = (obj, method, ...args) => new Promise((resolve, reject) => {
  obj[method](...args, (err, res) => err ? reject(err) : resolve(res))
})

// Feed is hypercore 6 and 9: callbacks, six files in a directory.
class Feed {
  static async open (dir, key) {
    const f = new this()
    f.feed = this.Hypercore(dir, key ? Buffer.from(key, 'hex') : null)
    f.v9 = this.v9
    await new Promise((resolve, reject) => {
      f.feed.on('error', reject)
      f.feed.ready(err => err ? reject(err) : resolve())
    })
    return f
  }

  get key () { return this.feed.key.toString('hex') }
  get length () { return this.feed.length }
  append (blocks) { return call(this.feed, 'append', blocks) }
  get (i) { return call(this.feed, 'get', i) }
  read (start, end) { return this.feed.createReadStream({ start, end }) }
  download (start, end) { return call(this.feed, 'download', { start, end }) }
  close () { return call(this.feed, 'close') }

  replicate (initiator, socket) {
    const s = this.v9 ? this.feed.replicate(initiator, { live: true }) : this.feed.replicate({ live: true })
    s.on('error', () => socket.destroy())
    socket.pipe(s).pipe(socket)
  }
}

// Core is hypercore 11: promises, RocksDB underneath.
class Core {
  static async open (dir, key) {
    const f = new this()
    f.core = new this.Hypercore(dir, key ? Buffer.from(key, 'hex') : null)
    await f.core.ready()
    return f
  }

  get key () { return this.core.key.toString('hex') }
  get length () { return this.core.length }
  append (blocks) { return this.core.append(blocks) }
  get (i) { return this.core.get(i) }
  read (start, end) { return this.core.createReadStream({ start, end }) }
  download (start, end) { return this.core.download({ start, end }).done() }
  close () { return this.core.close() }

  replicate (initiator, socket) {
    const s = this.core.replicate(initiator)
    s.on('error', () => socket.destroy())
    socket.pipe(s).pipe(socket)
  }
}
