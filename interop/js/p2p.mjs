// js-libp2p (TCP, Noise, yamux, identify, kad-dht): carries hypercore 6's replicate() over the stream protocol /hypercore/6.12.0
// and finds peers by discovery key on a private Kademlia network.
import './polyfill.mjs'
import { Duplex } from 'node:stream'
import { createLibp2p } from 'libp2p'
import { tcp } from '@libp2p/tcp'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { identify } from '@libp2p/identify'
import { ping } from '@libp2p/ping'
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { multiaddr } from '@multiformats/multiaddr'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { replicate, watch } from './wire.mjs'
import { patience } from './patience.mjs'

export const protocol = '/hypercore/6.12.0'
const blake2b256 = 0xb220
const nodes = new Map()
let next = 1

// topic is what both sides announce: a raw CIDv1 whose blake2b-256 multihash is the discovery key itself.
function topic (discoveryKey) { return CID.createV1(0x55, Digest.create(blake2b256, Buffer.from(discoveryKey, 'hex'))) }

// duplex makes a Node stream of a libp2p 3 stream: send() until it is full, 'message' events, close() ends the writing half.
function duplex (stream) {
  const d = new Duplex({
    read () { stream.resume() },
    write (chunk, enc, cb) {
      try {
        if (stream.send(Uint8Array.from(chunk))) return cb() // a copy: libp2p keeps what it is given, the protocol reuses it
      } catch (err) { return cb(err) }
      stream.onDrain().then(() => cb(), cb)
    },
    final (cb) { stream.close().then(() => cb(), cb) },
    destroy (err, cb) {
      if (err) stream.abort(err)
      else stream.close().catch(() => {})
      cb(err)
    }
  })
  stream.addEventListener('message', e => {
    const data = e.data.subarray ? e.data.subarray() : e.data
    if (!d.push(Buffer.from(data))) stream.pause()
  })
  stream.addEventListener('remoteCloseWrite', () => d.push(null))
  stream.addEventListener('close', e => { if (e.error) d.destroy(e.error); else { if (!d.readableEnded) d.push(null) } })
  return d
}

function node (handle) {
  const n = nodes.get(handle)
  if (!n) throw new Error(`no node ${handle}`)
  return n
}

export const commands = {
  // p2pStart {network?, server?} starts a node on loopback; with a network name it joins /hypercore/NAME/kad/1.0.0.
  async p2pStart ({ network, server = false }) {
    const services = { identify: identify(), ping: ping() }
    if (network) {
      services.dht = kadDHT({
        protocol: `/hypercore/${network}/kad/1.0.0`,
        clientMode: !server,
        peerInfoMapper: passthroughMapper, // the default drops private addresses, loopback included
        initialQuerySelfInterval: 0
      })
    }
    const n = await createLibp2p({
      addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
      transports: [tcp()],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux()],
      services
    })
    if (network && server) await n.services.dht.setMode('server')
    const handle = next++
    nodes.set(handle, n)
    return { node: handle, id: n.peerId.toString(), addrs: n.getMultiaddrs().map(String) }
  },

  async p2pStop ({ node: h }) {
    await node(h).stop()
    nodes.delete(h)
  },

  // p2pConnect {node, addr} dials and waits until identify has told which protocols the other side speaks.
  async p2pConnect ({ node: h, addr, timeout = patience }) {
    const n = node(h)
    const c = await n.dial(multiaddr(addr))
    const end = Date.now() + timeout
    let protocols = []
    while (!protocols.length) {
      protocols = await n.peerStore.get(c.remotePeer).then(p => p.protocols, () => [])
      if (Date.now() > end) throw new Error('identify did not finish')
      if (!protocols.length) await new Promise(resolve => setTimeout(resolve, 10))
    }
    return { peer: c.remotePeer.toString(), encryption: c.encryption, muxer: c.multiplexer, protocols }
  },

  // p2pReplicate {node, addr, feeds, opts} opens a /hypercore/6.12.0 stream on the peer and pipes replicate() both ways.
  async p2pReplicate ({ node: h, addr, feeds, opts, record }) {
    const stream = await node(h).dialProtocol(multiaddr(addr), protocol)
    return { conn: watch(replicate(feeds, opts), duplex(stream), record) }
  },

  // p2pServe {node, feeds, opts} answers /hypercore/6.12.0 streams that others open.
  async p2pServe ({ node: h, feeds, opts }) {
    await node(h).handle(protocol, stream => { watch(replicate(feeds, opts), duplex(stream)) })
  },

  // p2pProvide {node, discoveryKey} announces; p2pFind looks for providers until one is found.
  async p2pProvide ({ node: h, discoveryKey }) {
    for await (const e of node(h).services.dht.provide(topic(discoveryKey))) void e // the query runs while it is read
  },

  async p2pFind ({ node: h, discoveryKey, timeout = patience }) {
    const n = node(h)
    const end = Date.now() + timeout
    while (Date.now() < end) {
      try {
        // a query on a network of a handful of nodes may wait for peers that are not there: short ones, until somebody is found
        for await (const e of n.services.dht.findProviders(topic(discoveryKey), { signal: AbortSignal.timeout(3000) })) {
          if (!e.providers?.length) continue
          return { providers: e.providers.map(p => ({ id: p.id.toString(), addrs: p.multiaddrs.map(String) })) }
        }
      } catch (err) {
        if (err.name !== 'AbortError' && err.name !== 'TimeoutError') throw err
      }
      await new Promise(resolve => setTimeout(resolve, 100))
    }
    throw new Error(`no provider found in ${timeout} ms`)
  }
}
