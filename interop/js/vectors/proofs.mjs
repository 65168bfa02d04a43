// proofs.json: which nodes hypercore 6 sends for a request, and what it claims to have in one.
import { module } from '../hypercores.mjs'
import { header, writer, clone, blocks, bits } from './fixtures.mjs'

const treeIndex = module('hypercore6/lib/tree-index')
const sparse = module('sparse-bitfield')

function complete (length) {
  const tree = treeIndex()
  for (let i = 0; i < length; i++) tree.set(2 * i)
  return tree
}

// reply is what tree answers to a request for block with the digest.
function reply (tree, block, digest, remote) {
  const p = tree.proof(2 * block, { digest, tree: remote })
  return { nodes: p.nodes, verifiedBy: p.verifiedBy }
}

function both (tree, block, digest) {
  const { nodes, verifiedBy } = reply(tree, block, digest)
  return { nodes, hashNodes: tree.proof(2 * block, { digest, hash: true }).nodes, verifiedBy }
}

function single (serverLength) {
  const tree = complete(serverLength)
  return { serverLength, digest: 0, replies: Array.from({ length: serverLength }, (_, block) => ({ block, ...both(tree, block, 0) })) }
}

function request (tree, requester, block) {
  const digest = requester.digest(2 * block)
  return { block, digest, digestBinary: digest.toString(2), ...both(tree, block, digest) }
}

// A requester that has downloaded some blocks of the same feed.
async function sparseState (serverLength, downloaded) {
  const source = await blocks(await writer(), serverLength)
  const c = await clone(source, downloaded)
  return {
    serverLength,
    downloaded,
    requesterTreeBits: bits(c.tree, 2 * serverLength),
    requests: Array.from({ length: serverLength }, (_, block) => request(source.tree, c.tree, block))
  }
}

// A requester that has all of a shorter version of the feed.
function shorterState (serverLength, requesterLength) {
  const requester = complete(requesterLength)
  const requests = []
  for (let block = requesterLength; block < serverLength; block++) requests.push(request(complete(serverLength), requester, block))
  return { serverLength, requesterLength, requesterTreeBits: bits(requester, 2 * requesterLength), requests }
}

function allDigests (serverLength, wanted) {
  const tree = complete(serverLength)
  const out = []
  for (const block of wanted) for (let digest = 0; digest < 64; digest++) out.push({ serverLength, block, digest, ...reply(tree, block, digest) })
  return out
}

// The server remembers in one set per channel what the requester claimed.
function stateful (serverLength, steps) {
  const tree = complete(serverLength)
  const remote = treeIndex()
  return {
    serverLength,
    sequence: steps.map(([block, digest]) => {
      const r = reply(tree, block, digest, remote)
      return { block, digest, ...r, remoteTreeAfter: bits(remote, 2 * serverLength) }
    })
  }
}

// A server that is itself a sparse clone.
async function sparseServer (sourceLength, downloaded) {
  const c = await clone(await blocks(await writer(), sourceLength), downloaded)
  return {
    sourceLength,
    serverDownloaded: downloaded,
    serverTreeBits: bits(c.tree, 2 * sourceLength),
    replies: Array.from({ length: sourceLength }, (_, block) => {
      if (!c.tree.proof(2 * block)) return { block, error: 'no leaf: v6 destroys the stream' }
      return { block, ...reply(c.tree, block, 0) }
    })
  }
}

function digestCase (set, node) {
  const tree = treeIndex()
  for (const n of set) tree.bitfield.set(n, true) // without the parents that TreeIndex.set adds
  const page = Buffer.alloc(2048)
  for (const n of set) page[n >> 3] |= 128 >> (n & 7)
  return { bits: set, node, digest: tree.digest(node), digestAfterReopen: treeIndex(sparse({ buffer: page })).digest(node) }
}

const nodeSets = [[], [0], [1], [2], [1, 2], [3, 2], [5], [3], [7], [1, 7], [11, 7], [8, 3]]

// Drawn at random once.
const random = [
  [[6, 7, 3, 8], 2], [[11, 7], 10], [[0, 2, 13], 6], [[18, 7, 9, 1, 8], 18], [[13], 16], [[6, 4, 5, 0], 8], [[14, 17, 10, 2], 16],
  [[22, 3, 11], 0], [[17, 3], 18], [[3], 2], [[6, 9], 8], [[7, 8, 2, 4, 6], 0], [[5, 4, 0, 3, 2], 4], [[7, 2, 9, 1, 4], 6], [[8, 5, 4], 22],
  [[8, 14, 5], 4], [[3, 1], 2], [[1, 2, 0], 6], [[4], 14], [[9, 8, 1], 2], [[24, 7], 20], [[29, 23, 21, 28, 27], 18],
  [[2, 20, 26, 4, 21], 16], [[21, 15, 1], 12], [[15, 0, 11, 12], 14], [[9, 15, 13], 14], [[12, 9, 8], 4], [[3, 6, 7, 1], 4], [[9], 4],
  [[0, 7, 4], 4], [[5, 0, 21], 14], [[5], 12], [[15, 13], 12], [[6], 6], [[6], 6], [[9, 6, 5, 7, 4], 0], [[7, 1, 11], 8],
  [[11, 31, 1, 19], 26], [[17, 23, 1, 2], 14], [[3, 1, 2, 0], 0], [[5, 2, 4, 3], 4], [[12, 19, 3, 1, 0], 20], [[6, 11, 7], 10],
  [[16, 15, 22, 3], 12], [[0, 7], 4], [[0, 1], 6], [[4, 13], 4], [[24], 0], [[5, 3], 6], [[1], 2], [[2], 8], [[14, 11], 0],
  [[0, 27, 24], 12], [[3, 18, 4], 14], [[10], 6], [[10, 16, 3], 14], [[3, 1, 2], 2], [[30], 0], [[7, 21, 4, 6], 8], [[17, 12, 3, 0], 2]
]

export async function proofs () {
  const states = []
  for (const [n, downloaded] of [
    [2, [0]], [4, [0]], [4, [3]], [5, [0]], [5, [4]], [8, [0]], [8, [0, 7]], [8, [0, 1, 2]], [20, [3]], [20, [3, 5, 9]], [20, [19]],
    [20, [0, 16]], [33, [32]], [33, [0, 31]], [100, [50, 7, 99]]
  ]) states.push(await sparseState(n, downloaded))
  for (const [n, have] of [[5, 4], [6, 4], [7, 5], [8, 5], [16, 3], [20, 9], [20, 16], [33, 20]]) states.push(shorterState(n, have))
  const servers = []
  for (const [n, downloaded] of [[8, [3]], [20, [3, 5, 9]], [20, [19]], [33, [0, 32]]]) servers.push(await sparseServer(n, downloaded))
  return {
    ...header('node indices are flat-tree indices; digest is Request.nodes; verifiedBy/2 = signed length (0: no signature in the reply). nodes = reply to hash:false, hashNodes = reply to hash:true (leaf first). digestCases: v6 stops the upward walk at the capacity of its bit buffer (bytes touched so far; whole pages after a reopen), so digestAfterReopen can be larger; both are valid.'),
    single: [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 16, 17, 20, 33].map(single),
    states,
    digests: [...allDigests(5, [0, 3, 4]), ...allDigests(8, [0, 3, 7]), ...allDigests(20, [0, 3, 19])],
    stateful: [
      stateful(8, [[0, 0], [1, 0], [1, 2]]),
      stateful(8, [[0, 9], [4, 0], [5, 0]]),
      stateful(20, [[3, 0], [2, 2], [2, 0], [19, 4], [18, 0]])
    ],
    sparse: servers,
    digestCases: [...nodeSets.flatMap(set => [0, 2, 1, 8].map(node => digestCase(set, node))), ...random.map(([set, node]) => digestCase(set, node))]
  }
}
