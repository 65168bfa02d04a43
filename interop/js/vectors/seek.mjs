// seek.json: byte offsets to blocks on a complete feed, and where each block lies in the data file.
import { header, writer, call, fill } from './fixtures.mjs'

const cases = [[10], [1, 1, 1], [10, 20, 30, 40, 50], [0, 1, 0, 0, 3, 0], [5, 0, 0, 5], [0, 0, 0], [3, 1, 4, 1, 5, 9, 2, 6, 5], [100, 1, 1, 1, 100]]

export async function seek () {
  const out = []
  for (const sizes of cases) {
    const f = await writer()
    await call(f, 'append', sizes.map(n => fill(n, 0x78)))
    const seeks = []
    for (let byteOffset = 0; byteOffset <= f.byteLength + 1; byteOffset++) {
      try {
        const [index, rel] = await call(f, 'seek', byteOffset, { wait: false })
        seeks.push({ byteOffset, index, rel })
      } catch (err) {
        seeks.push({ byteOffset, error: err.message })
      }
    }
    const dataOffsets = []
    for (let i = 0; i < sizes.length; i++) dataOffsets.push(await call(f._storage, 'dataOffset', i, []))
    out.push({ sizes, seeks, dataOffsets })
  }
  return {
    ...header('feed.seek(byteOffset, {wait: false}) on a complete v6 feed; dataOffsets = [offset, size] of each block in the data file. v9 differs at byteOffset == byteLength: (length, 0).'),
    cases: out
  }
}
