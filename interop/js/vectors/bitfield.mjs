// bitfield.json: the bitfield file after appends and clears, and every file of sparse clones.
import { header, memory, writer, open, clone, blocks, call, bits, image, fill, keyPair } from './fixtures.mjs'

const lengths = [0, 1, 2, 3, 4, 7, 8, 9, 31, 32, 33, 63, 64, 65, 255, 256, 257, 1000, 1024, 4096, 8191, 8192, 8193, 16384, 20000]

const cleared = [
  [20, 4, 9, 'append 20, clear 4..9'],
  [64, 0, 32, 'append 64, clear 0..32'],
  [300, 100, 101, 'append 300, clear 100..101'],
  [9000, 8191, 8193, 'append 9000, clear 8191..8193'],
  [20, 0, 20, 'append 20, clear all']
]

const orders = [
  [1, [0]], [5, [0]], [5, [4]], [5, [0, 4]], [8, [3]], [20, [3, 5, 9]], [20, [19]], [20, [0]], [20, [16, 17, 18, 19]],
  [33, [32]], [33, [0, 32]], [100, [50, 7, 99, 51]], [9000, [8500, 1]]
]

// pageSize 3328 is what hypercore up to 6.22 wrote; later versions keep what the header of the file says.
async function imageOf (name, length, clear, pageSize = 3584) {
  const storage = memory()
  if (pageSize !== 3584) {
    const head = fill(32, 0)
    head.set([5, 2, 87, 0, 0])
    head.writeUInt16BE(pageSize, 5)
    await call(storage('bitfield'), 'write', 0, head)
  }
  const f = await blocks(await writer(storage), length)
  for (const [start, end] of clear) await call(f, 'clear', start, end)
  const again = await open(storage.reopen(), keyPair.publicKey)
  return { name, pageSize, append: length ? [[0, length]] : [], clear, lengthOnOpen: again.length, file: image(storage.bytes('bitfield')) }
}

async function cloneOf (sourceLength, order) {
  const blockSize = 4
  const storage = memory()
  const f = await clone(await blocks(await writer(), sourceLength, blockSize), order, storage)
  const tree = storage.bytes('tree')
  const signatures = storage.bytes('signatures')
  const stored = (file, size) => Array.from({ length: (file.length - 32) / size }, (_, i) => i)
    .filter(i => file.subarray(32 + size * i, 32 + size * (i + 1)).some(b => b))
  return {
    name: `source of ${sourceLength} x ${blockSize} bytes (one append), downloaded ${order.join(', ')}`,
    sourceLength,
    blockSize,
    order,
    length: f.length,
    byteLength: f.byteLength,
    dataBits: bits(f.bitfield, sourceLength),
    treeBits: bits(f.tree, 2 * sourceLength),
    storedNodes: stored(tree, 40),
    storedSignatures: stored(signatures, 64),
    treeFileLength: tree.length,
    signaturesFileLength: signatures.length,
    dataFileLength: storage.bytes('data').length,
    bitfieldFile: image(storage.bytes('bitfield'))
  }
}

export async function bitfield () {
  const images = []
  for (const n of lengths) images.push(await imageOf(`append ${n}`, n, []))
  for (const [n, start, end, name] of cleared) images.push(await imageOf(name, n, [[start, end]]))
  for (const n of [20, 8192, 8193]) images.push(await imageOf(`old page size 3328, append ${n}`, n, [], 3328))
  const clones = []
  for (const [n, order] of orders) clones.push(await cloneOf(n, order))
  return { ...header('bitfield file images; chunks = [offset, hex] of the non-zero parts'), images, clones }
}
