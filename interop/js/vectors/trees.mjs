// trees.json: every file of small feeds, and what the same blocks give as a hypercore 9 and as a static feed.
import { module } from '../hypercores.mjs'
import { header, memory, writer, open, call, hex, sha256, image, keyPair } from './fixtures.mjs'
import { content } from '../content.mjs'

const crypto = module('hypercore-crypto')
const text = (...blocks) => blocks.map(b => Buffer.from(b))
const each = blocks => blocks.map(b => [b])
const sized = (...sizes) => sizes.map((n, i) => content(0, i, n))

const cases = [
  ['empty', []],
  ['a', [text('a')]],
  ['ab as two appends', each(text('a', 'b'))],
  ['abc in one append (compat.js signatures)', [text('a', 'b', 'c')]],
  ['abcdef in one append (compat.js tree)', [text(...'abcdef')]],
  ['abcdef one at a time', each(text(...'abcdef'))],
  ['abcdef as 2+3+1', [text('a', 'b'), text('c', 'd', 'e'), text('f')]],
  ['empty blocks', [text('', 'a', '', ''), text('bcd'), text('')]],
  ['only empty blocks', [text('', '', '')]],
  ['hello world', [text('hello'), text('world')]],
  ['5 deterministic', [sized(10, 20, 30, 40, 50)]],
  ['8 deterministic', [sized(1, 2, 3, 4, 5, 6, 7, 8)]],
  ['9 deterministic 4+5', (all => [all.slice(0, 4), all.slice(4)])(sized(9, 8, 7, 6, 5, 4, 3, 2, 1))],
  ['17 deterministic one at a time', each(sized(...Array(17).fill(13)))],
  ['big blocks', (all => [all.slice(0, 2), all.slice(2)])(sized(70000, 1, 65536))]
]

async function filled (f, batches) {
  for (const batch of batches) await call(f, 'append', batch)
  return f
}

const brief = (b, k) => b.length <= 512 ? hex(b) : { [k]: b.length, sha256: sha256(b) }

async function treeOf ([name, batches]) {
  const storage = memory()
  const f = await filled(await writer(storage), batches)
  const roots = f._merkle.roots.map(n => ({ index: n.index, size: n.size, hash: hex(n.hash) }))

  const nine = memory()
  await filled(await writer(nine, {}, '9'), batches)

  const frozen = memory()
  const s = await filled(await open(frozen, null, { live: false }), batches)
  await call(s, 'finalize')

  return {
    name,
    key: hex(keyPair.publicKey),
    secretKey: hex(keyPair.secretKey),
    batches: batches.map(batch => batch.map(b => brief(b, 'size'))),
    length: f.length,
    byteLength: f.byteLength,
    roots,
    treeHash: hex(crypto.tree(f._merkle.roots)),
    files: {
      key: hex(storage.bytes('key')),
      secret_key: hex(storage.bytes('secret_key')),
      tree: hex(storage.bytes('tree')),
      signatures: hex(storage.bytes('signatures')),
      bitfield: image(storage.bytes('bitfield')),
      data: brief(storage.bytes('data'), 'length')
    },
    v9_signatures: hex(nine.bytes('signatures')),
    static: { key: hex(frozen.bytes('key')), signatures: hex(frozen.bytes('signatures')), secret_key_length: frozen.bytes('secret_key').length }
  }
}

export async function trees () {
  const out = []
  for (const c of cases) out.push(await treeOf(c))
  return {
    ...header('files of a v6 feed; deterministic block i of size n: content(0, i, n) of interop/js/content.mjs. All-zero 40-byte tree records are blank nodes, all-zero 64-byte signature records are absent.'),
    cases: out
  }
}
