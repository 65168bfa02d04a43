// flat.json and tree_index.json: node numbering, and which length a set of node bits stands for.
import { module } from '../hypercores.mjs'
import { header, bits } from './fixtures.mjs'

const flatTree = module('flat-tree')
const treeIndex = module('hypercore6/lib/tree-index')

export function flat () {
  const big = n => ({
    index: n,
    depth: flatTree.depth(n),
    parent: flatTree.parent(n),
    sibling: flatTree.sibling(n),
    leftSpan: flatTree.leftSpan(n),
    rightSpan: flatTree.rightSpan(n)
  })
  const lengths = [...Array(35).keys(), 100, 1000, 8192, 8193, 1048575, 2 ** 32 + 3]
  return {
    ...header('in-order (flat-tree) numbering'),
    nodes: [...Array(64).keys()].map(n => {
      const { index, depth, ...rest } = big(n)
      const { parent, sibling, ...spans } = rest
      return { index, depth, offset: flatTree.offset(n), parent, sibling, children: flatTree.children(n), ...spans }
    }),
    big: [2 ** 31 - 1, 2 ** 32, 2 ** 32 + 1, 2 ** 33 - 1, 2 ** 40, 2 ** 45 - 1].map(big),
    roots: lengths.map(length => ({ length, fullRoots: flatTree.fullRoots(2 * length) }))
  }
}

const leaves = n => Array.from({ length: n }, (_, i) => 2 * i)

// The last twenty sets were drawn at random once.
const sets = [
  ...[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 20].map(n => [`leaves of length ${n}`, leaves(n)]),
  ['test/tree-index.js 1', [10, 8, 13, 3, 17]],
  ['test/tree-index.js 2', [7, 16, 18, 21, 25, 28]],
  ['roots of 20 only', [15, 35]],
  ['roots of 33 only', [31, 64]],
  ['only leaf 3 of 20', [6]],
  ['nothing on the left spine', [10, 13]],
  ['gap', [0, 2, 8]],
  ['root 7, then 17 missing, 20', [7, 20]],
  ...[
    [4, 0], [2, 22, 3, 6, 25, 8], [9, 11, 7], [8, 2, 16, 17, 0], [9], [5, 4], [15], [7], [10, 33], [24, 5, 15, 20, 19, 14],
    [6, 0, 10, 1], [1, 2, 3, 0], [5], [10, 7], [2, 7, 4, 1], [5, 0, 1, 2, 4], [15, 8], [1, 20, 12, 5, 28], [13, 20, 5, 10, 2], [7, 15]
  ].map((set, i) => [`random ${i}`, set])
]

export function trees () {
  return {
    ...header('TreeIndex: bits = tree bits after set() (a parent is set when both children are). blocks() = length derived on open. verifiedBy(i)/2 = the length whose signature covers node i'),
    cases: sets.map(([name, set]) => {
      const tree = treeIndex()
      for (const n of set) tree.set(n)
      const held = bits(tree, 256)
      return { name, set, bits: held, blocks: tree.blocks(), verifiedBy: Object.fromEntries(held.map(n => [n, tree.verifiedBy(n)])) }
    })
  }
}
