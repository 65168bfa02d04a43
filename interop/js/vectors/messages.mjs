// messages.json: frames as hypercore-protocol 6 writes them, and bodies as it reads them.
import { module } from '../hypercores.mjs'
import { header, hex, unhex, fill } from './fixtures.mjs'

const schema = module('hypercore-protocol/messages')
const varint = module('varint')
export const types = ['Feed', 'Handshake', 'Info', 'Have', 'Unhave', 'Want', 'Unwant', 'Request', 'Cancel', 'Data']

const bytes = ['discoveryKey', 'nonce', 'id', 'userData', 'bitfield', 'value', 'signature', 'hash']

// toWire turns the hex strings of a message into buffers, toHex the other way.
function toWire (m) {
  const out = { ...m }
  for (const k of bytes) if (typeof out[k] === 'string') out[k] = unhex(out[k])
  if (Array.isArray(m.nodes)) out.nodes = m.nodes.map(toWire)
  return out
}

export function toHex (m) {
  const out = { ...m }
  for (const k of bytes) if (Buffer.isBuffer(out[k])) out[k] = hex(out[k])
  if (Array.isArray(m.nodes)) out.nodes = m.nodes.map(toHex)
  return out
}

function frame (channel, type, message) {
  const head = Buffer.from(varint.encode(channel << 4 | types.indexOf(type)))
  const body = schema[type].encode(toWire(message))
  return Buffer.concat([Buffer.from(varint.encode(head.length + body.length)), head, body])
}

const dk = hex(fill(32, 1))
const id = hex(fill(32, 3))
const signature = hex(fill(64, 6))
const node = (index, byte, size) => ({ index, hash: hex(fill(32, byte)), size })
const region = 1048576

const frames = [
  ['Feed', 0, { discoveryKey: dk }],
  ['Feed', 0, { discoveryKey: dk, nonce: hex(fill(24, 2)) }],
  ['Feed', 1, { discoveryKey: dk }],
  ['Feed', 8, { discoveryKey: dk }],
  ['Feed', 255, { discoveryKey: dk }],
  ['Handshake', 0, { id, live: false, userData: null, extensions: [], ack: false }],
  ['Handshake', 0, { id, live: true, userData: '6869', extensions: ['a', 'bc'], ack: true }],
  ['Info', 0, { uploading: true, downloading: false }],
  ['Info', 0, { uploading: false, downloading: false }],
  ['Info', 0, { downloading: true }],
  ['Have', 0, { start: 0 }],
  ['Have', 0, { start: 19 }],
  ['Have', 0, { start: 300, length: 5 }],
  ['Have', 0, { start: 0, length: region, bitfield: '0b02f0' }],
  ['Have', 0, { start: 0, length: region, bitfield: '' }],
  ['Have', 0, { start: 5, length: 1, ack: true }],
  ['Unhave', 0, { start: 3, length: 1 }],
  ['Unhave', 0, { start: 3 }],
  ['Want', 0, { start: 0, length: region }],
  ['Want', 0, { start: region, length: region }],
  ['Want', 0, { start: 0 }],
  ['Unwant', 0, { start: 0, length: region }],
  ['Request', 0, { index: 0, bytes: 0, hash: false, nodes: 0 }],
  ['Request', 3, { index: 1234567, bytes: 0, hash: true, nodes: 11 }],
  ['Request', 0, { index: 2 ** 40, bytes: 2 ** 33, hash: true, nodes: 0 }],
  ['Request', 0, { index: 7 }],
  ['Cancel', 0, { index: 7, bytes: 0, hash: false }],
  ['Data', 0, { index: 0, value: '68656c6c6f', nodes: [], signature: null }],
  ['Data', 0, { index: 0, value: '', nodes: [], signature: null }],
  ['Data', 0, { index: 3, value: null, nodes: [node(6, 4, 10), node(4, 5, 0)], signature }],
  ['Data', 0, { index: 3, value: hex(fill(200, 9)), nodes: [node(300, 4, 70000)], signature }]
]

const decode = [
  ['Have', '0805', 'length defaults to 1'],
  ['Have', '0805180a0102', 'field 3 with wire type 0: type is not looked at'],
  ['Have', '100a', 'required start missing'],
  ['Have', '080528012a020102', 'unknown varint field 5, then unknown bytes field 5'],
  ['Have', '08051005100a', 'repeated scalar: last wins'],
  ['Want', '0800', 'length defaults to 0'],
  ['Info', '', 'empty body (never seen: a 1-byte frame is ignored)'],
  ['Info', '0801', 'downloading defaults to false'],
  ['Request', '0807', 'bytes 0, hash false, nodes 0'],
  ['Data', '0807', 'value null'],
  ['Data', '08071200', 'value present, empty'],
  ['Data', '08071a02080a', 'node without hash and size'],
  ['Data', '0807122005', 'value length runs past the end: JS takes what is there'],
  ['Request', '08ffffffffffffffffff01', 'uint64 max: becomes a float in JS']
]

export function messages () {
  return {
    ...header('unencrypted frames: varint(length of rest) | varint(channel << 4 | type) | protobuf body, as v6 writes them (defined scalars are always written, also 0 and false)'),
    frames: frames.map(([type, channel, message]) => ({ type, channel, message, frame: hex(frame(channel, type, message)) })),
    decode: decode.map(([type, body, note]) => {
      try {
        return { type, body, note, message: toHex(schema[type].decode(unhex(body))) }
      } catch {
        return { type, body, note, error: 'v6 drops the message silently' }
      }
    })
  }
}
