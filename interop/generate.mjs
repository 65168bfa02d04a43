// Rewrites testdata/vectors from npm hypercore 6.26.0 (and 9.12.0 for its signatures): keys, nonces, ids and the choices npm makes at
// random are fixed, so that every run writes the same bytes.
//
//   node generate.mjs            rewrite the files
//   node generate.mjs --check    compare, write nothing; exit 1 and name the files that differ
//   node generate.mjs --out DIR  write elsewhere
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { layout } from './js/vectors/fixtures.mjs'
import { keys, hashes, xsalsa20 } from './js/vectors/hashes.mjs'
import { flat, trees as treeIndex } from './js/vectors/flat.mjs'
import { messages } from './js/vectors/messages.mjs'
import { rle } from './js/vectors/rle.mjs'
import { trees } from './js/vectors/trees.mjs'
import { bitfield } from './js/vectors/bitfield.mjs'
import { proofs } from './js/vectors/proofs.mjs'
import { seek } from './js/vectors/seek.mjs'
import { plain, encrypted, liveMulti, statics } from './js/vectors/transcripts.mjs'

const files = {
  'keys.json': keys,
  'hashes.json': hashes,
  'xsalsa20.json': xsalsa20,
  'flat.json': flat,
  'tree_index.json': treeIndex,
  'messages.json': messages,
  'rle.json': rle,
  'trees.json': trees,
  'bitfield.json': bitfield,
  'proofs.json': proofs,
  'seek.json': seek,
  'transcript-plain.json': plain,
  'transcript-encrypted.json': encrypted,
  'transcript-live-multi.json': liveMulti,
  'transcript-static.json': statics
}

const args = process.argv.slice(2)
const check = args.includes('--check')
const out = args.includes('--out')
  ? args[args.indexOf('--out') + 1]
  : path.join(path.dirname(fileURLToPath(import.meta.url)), '..', 'testdata', 'vectors')

let differ = 0
for (const [name, make] of Object.entries(files)) {
  const text = layout(await make()) + '\n'
  const file = path.join(out, name)
  if (check) {
    const same = fs.existsSync(file) && fs.readFileSync(file, 'utf8') === text
    console.log(`${same ? 'same   ' : 'DIFFERS'} ${name}`)
    if (!same) differ++
  } else {
    fs.mkdirSync(out, { recursive: true })
    fs.writeFileSync(file, text)
    console.log(`wrote ${file}`)
  }
}
process.exit(differ ? 1 : 0)
