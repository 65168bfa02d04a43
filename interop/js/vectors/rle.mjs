// rle.json: bitfield-rle with align(4), as hypercore 6 puts have-maps on the wire.
import { module } from '../hypercores.mjs'
import { header, hex, unhex, sha256 } from './fixtures.mjs'

const code = module('bitfield-rle').align(4)
const bitfield = module('hypercore6/lib/bitfield')

const fixed = '00 80 ff ffff ffffff fff0 fffffff0 00000000 0001 000001 00000001 0000000001 ff00ff ffff00ffff ff0000ff 800000ff e0 e0ff e0ffff ' +
  'e0ffffff01 01ff01ff01ff ff01ff01 ffffff01ffffff 0000ffff0000ffff aa55aa55aa aa00aa00aa aa0000aa aa000000aa aaff aaffff ff7f ' +
  'ffffff7fffffff00 7fffffffff 0102030405060708 fefffffffe'

// Drawn at random once, ff and 00 often.
const random = [
  'ff00ff00fbffff80ffff00800000ff', 'ff009bff000100',
  'ffff00ff0000010001ffffff80000046000001ffffff8001ffff00ff8000ff01ff00fffe0080fc803d3dffff000000ff00ffff01ff',
  '01000000ffffff0080ffff', '3400ffffff00006e00000000ae00ffff00ff',
  'ff00328001ff00ff80ffffd400000080ff8000ff01ff01ff0001ff00ff018001ff00ff00ffffff0000ff00ff80ff008001000100',
  '000000000001ff80ffff0001ff80000000ffffffffff80ff0080ffffff8300b10100800001009f8000ffff00',
  '00ffff01ff00018000000018009400001900ff800101d6',
  'ff0022017bffff80c9f2ff01ff800100ff01ffffff000001ff0000800080ff000100ff12ffffff00fff8a3',
  '80ff0101ffffff00', 'daffff0bff2400', '8080ffffedffff00008000000080ffff6101ff000000',
  '00eb000072ff80000000ff00ff0080000000ff00ff0000ff00f3ff0000b5ffff0001ffff01018000afff010129ff00ffffff000100000000cdffff',
  'ff0000ffffec00ffff00ff01ff800080018080ffbd008001e4dc000080acff00cc0100ff', 'ff8000ff', '000000008000ff0000ff0000', '00',
  '2c800001ffffff0100ff02ffff00800000ff01160001ff0000808000ffff0000ffffffffff00008000ff00', '01ffff000000ff9fffff01008080',
  'ff0180ff800097ff56000080000000c2ffff00000080808080ffffff01', '000000ffff00ff8cff01', '008a01000080000029ff000c01',
  '50ff80ff00ff00180000010000000000df00a7', '0000bd01ff8000', 'ff000000ff00ff0000ff60ff980100ffb4ff0000ff01ffffff00ea65ff0001',
  'ffff01ff8080ff000000019101ffffffffffffff80ffffffff00ff01ff0000ff001e00ff000100ff',
  '000ea8ff01000080000080ff00ff000000800188ff0000ffffffdd32e8808b808000',
  'ff8000ff000000ff000101ffff000080010100ffffff00000000ff00018000008000',
  'ffffffff01000080d30080ff0180ff00ff00ff0033010080ffff00ffff00b90080ff0000ff01010050ff000000007aff80ff00ff00ff0000ff', '01ff'
]

// brief writes a long buffer as its length, hash and runs.
function brief (b) {
  if (b.length <= 512) return hex(b)
  const runs = []
  for (const byte of b) {
    const last = runs[runs.length - 1]
    if (last?.[0] === byte) last[1]++
    else runs.push([byte, 1])
  }
  return { length: b.length, sha256: sha256(b), runs }
}

function encoded (name, input) {
  const e = code.encode(input)
  return { name, input: brief(input), encoded: hex(Buffer.from(e)) ?? '', decoded: brief(code.decode(e)) }
}

function have (end) {
  const bits = bitfield()
  for (let i = 0; i < end; i++) bits.set(i, true)
  const want = { start: 0, length: 1048576 }
  const e = bits.compress(want.start, want.length)
  return { name: `have 0..${end}`, haveRanges: [[0, end]], want, encoded: hex(e), decodedLength: code.decode(e).length }
}

export function rle () {
  const literal = n => Buffer.from(Array.from({ length: n }, (_, i) => i + 1))
  return {
    ...header('bitfield-rle 2.2.1 with align(4): decoding pads the result with zero bytes to a multiple of 4. encode trims trailing zero bytes.'),
    encode: [
      encoded('empty', Buffer.alloc(0)),
      ...fixed.split(' ').map(h => encoded(h, unhex(h))),
      ...[1, 15, 16, 17, 31, 32, 63, 64, 127, 128, 1023, 1024, 8191, 131072].map(n => encoded(`${n} x ff`, Buffer.alloc(n, 255))),
      ...[3, 31, 32, 4095].map(n => encoded(`${n} x 00 then 80`, Buffer.concat([Buffer.alloc(n), unhex('80')]))),
      ...[62, 63, 64, 65].map(n => encoded(`${n} literal bytes`, literal(n))),
      ...[1, 7, 8, 9, 20, 33, 1000, 8192, 10000].map(have),
      ...random.map((h, i) => encoded(`random ${i}`, unhex(h)))
    ],
    decode: [
      ['two runs of ff', '0707'],
      ['run of zero length', '0301'],
      ['literal of zero length', '00'],
      ['literal split', '020102020203'],
      ['zero run at end', '050203'],
      ['ff run then zeros (not trimmed)', '0b15'],
      ['long-form varint', '8b00'],
      ['5 bytes -> padded to 8', '17']
    ].map(([name, e]) => ({ name, encoded: e, decoded: hex(code.decode(unhex(e))) })),
    invalid: ['02', '0480', '20ff', '80', 'ff', '0b80'].map(e => {
      let js = 'accepts'
      try { code.decode(unhex(e)) } catch { js = 'throws' }
      return { encoded: e, js }
    })
  }
}
