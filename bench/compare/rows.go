package main

import (
	"fmt"
	"math"
)

const (
	kib = 1 << 10
	mib = 1 << 20
)

// A row is one kind of work and the systems that do it.
type row struct {
	name, title string
	kind        kind
	op          string // of the request, where the kind does not know
	sides       []side
	metrics     []metric // the first is the one that goals without a metric compare
	goals       []goal

	block int // bytes per block
	count int // blocks
	quick int // blocks with --quick, if not the same
	slow  int // blocks with --quick for sides marked slow
	batch int // blocks per append
	limit float64
	rate  int
	// rounds, if not 0, is what this row runs at most: it takes long.
	rounds int
	// long rows are left out of --quick.
	long bool
	// fill rows write or read files about as fast as memory takes it, so the page cache
	// is filled before each run, but with --quick (see ballast).
	fill bool
}

// A side is one system in a row.
type side struct {
	label  string // unique within the row
	system string // the name a process is started with
	// durability says what has happened to the bytes when the clock stops.
	durability string
	options    map[string]string
	count      int    // blocks, if not the row's
	slow       bool   // gets the smaller data set with --quick
	kind       kind   // nil: the row's
	group      string // goals may name a group: its best side counts, round by round
}

// A metric is one column.
type metric struct {
	name  string
	lower bool // lower is better
	of    func(sample) float64
}

// A goal is a ratio between two sides, or a bound on one.
type goal struct {
	side   string
	metric string  // empty: the row's first
	minus  string  // a side whose figure is taken off first, or empty
	than   string  // another side, or a group, or empty for a bound
	atMost bool    // the value is an upper bound
	value  float64 // 0: none, the ratio is shown
}

func (g goal) String() string {
	op, metric := ">=", ""
	if g.atMost {
		op = "<="
	}
	if g.metric != "" {
		metric = " " + g.metric
	}
	if g.minus != "" {
		metric += " - " + g.minus
	}
	if g.than == "" {
		return fmt.Sprintf("%s%s %s %g", g.side, metric, op, g.value)
	}
	return fmt.Sprintf("%s%s %s %.3g x %s", g.side, metric, op, g.value, g.than)
}

// sample is one run of one side.
type sample struct {
	figures figures
	send    usage // of the sender, or of the only process
	recv    usage
	two     bool
}

func (s sample) per(amount, seconds string) float64 {
	a, ok := s.figures[amount]
	t, ok2 := s.figures[seconds]
	if !ok || !ok2 || t == 0 {
		return math.NaN()
	}
	return a / t
}

// figure is a metric that the process measured itself, divided by unit.
func figure(name, key string, unit float64, lower bool) metric {
	return metric{name, lower, func(s sample) float64 {
		v, ok := s.figures[key]
		if !ok {
			return math.NaN()
		}
		return v / unit
	}}
}

var (
	speed     = metric{"MB/s", false, func(s sample) float64 { return s.per("bytes", "seconds") / 1e6 }}
	perSecond = metric{"blocks/s", false, func(s sample) float64 { return s.per("blocks", "seconds") }}
	// synced is the rate until everything was durable, where a system can say so.
	synced     = metric{"MB/s durable", false, func(s sample) float64 { return s.per("bytes", "synced") / 1e6 }}
	cpuTotal   = metric{"CPU s", true, func(s sample) float64 { return s.send.CPU + s.recv.CPU }}
	cpuSend    = metric{"CPU s send", true, func(s sample) float64 { return s.send.CPU }}
	cpuRecv    = metric{"CPU s recv", true, func(s sample) float64 { return s.recv.CPU }}
	memSend    = metric{"MiB send", true, func(s sample) float64 { return s.send.Memory / mib }}
	memRecv    = metric{"MiB recv", true, func(s sample) float64 { return s.recv.Memory / mib }}
	memOnly    = metric{"MiB", true, func(s sample) float64 { return s.send.Memory / mib }}
	p50        = figure("p50 µs", "p50", 1, true)
	p99        = figure("p99 µs", "p99", 1, true)
	transfers  = []metric{speed, perSecond, synced, cpuSend, cpuRecv, memSend, memRecv}
	locals     = []metric{perSecond, speed, synced, cpuTotal, memOnly}
	localBytes = []metric{speed, perSecond, synced, cpuTotal, memOnly}
)

const (
	pageCache = "handed to the OS"
	committed = "handed to the OS, group commits with fdatasync follow; a block counts as present once committed"
	waited    = "each append waits for its fdatasync"
)

// npms are the three releases of npm hypercore.
func npms(durability string) []side {
	rocks := durability
	if durability == pageCache {
		rocks += " (RocksDB)"
	}
	return []side{
		{label: "npm6", system: "npm6", durability: durability, slow: true, group: "npm"},
		{label: "npm9", system: "npm9", durability: durability, slow: true, group: "npm"},
		{label: "npm11", system: "npm11", durability: rocks, slow: true, group: "npm"},
	}
}

func with(first []side, more ...[]side) []side {
	for _, m := range more {
		first = append(first, m...)
	}
	return first
}

// table is every row, in the order they run.
func table() []row {
	hyper := side{label: "hypercore", system: "hypercore", durability: committed}
	return append([]row{
		{
			name: "replicate-64k", title: "replicate blocks of 64 KiB", kind: transfer, metrics: transfers, fill: true,
			block: 64 * kib, count: 8192, quick: 2048, slow: 512,
			sides: with([]side{
				{label: "limit", system: "limit", durability: pageCache},
				hyper,
				{label: "hypercore-v6", system: "hypercore", options: map[string]string{"dialect": "v6"}, durability: committed},
				{label: "torrent", system: "torrent", durability: pageCache + " (mapped files)"},
				{label: "torrent-large", system: "torrent", durability: pageCache + " (mapped files); requests of 256 KiB, which BEP 3 forbids", options: map[string]string{"chunk": "262144"}},
				{label: "bitswap", system: "bitswap", durability: pageCache, slow: true},
			}, npms(pageCache)),
			goals: []goal{
				{side: "hypercore", than: "limit", value: 0.85},
				{side: "hypercore", than: "npm", value: 4.5},
				{side: "hypercore", than: "torrent", value: 1.1},
				{side: "hypercore", than: "torrent-large"}, // no goal: to be seen
				{side: "hypercore", than: "bitswap", value: 2},
				{side: "hypercore-v6", than: "limit", value: 0.6},
			},
		},
		{
			name: "replicate-512", title: "replicate blocks of 512 bytes", kind: transfer, metrics: transfers, fill: true,
			block: 512, count: 204800, quick: 102400, slow: 4096,
			sides: with([]side{
				{label: "limit", system: "limit", durability: pageCache},
				hyper,
				{label: "hypercore-v6", system: "hypercore", options: map[string]string{"dialect": "v6"}, durability: committed},
				{label: "bitswap", system: "bitswap", durability: pageCache, slow: true},
			}, npms(pageCache)),
			goals: []goal{
				{side: "hypercore", metric: "blocks/s", than: "limit", value: 0.5},
				{side: "hypercore", metric: "blocks/s", than: "npm", value: 35},
				{side: "hypercore", metric: "blocks/s", than: "bitswap", value: 14},
			},
		},
		{
			name: "append-64k", title: "append blocks of 64 KiB, 128 at a time", kind: local, metrics: localBytes, fill: true,
			block: 64 * kib, count: 8192, quick: 2048, slow: 512, batch: 128, limit: 10,
			sides: with([]side{
				{label: "limit", system: "limit-local", durability: pageCache, options: map[string]string{"work": "hash"}},
				hyper,
			}, npms(pageCache)),
			goals: []goal{
				{side: "hypercore", than: "limit", value: 0.8},
				{side: "hypercore", than: "npm", value: 3.5},
				{side: "limit", than: "npm"},
			},
		},
		{
			name: "append-512", title: "append blocks of 512 bytes, 128 at a time", kind: local, metrics: locals, fill: true,
			block: 512, count: 819200, quick: 204800, slow: 16384, batch: 128, limit: 5,
			sides: with([]side{
				{label: "limit", system: "limit-local", durability: pageCache, options: map[string]string{"work": "hash"}},
				hyper,
			}, npms(pageCache)),
			goals: []goal{{side: "hypercore", than: "npm", value: 5}},
		},
		{
			name: "append-1", title: "append one block of 512 bytes at a time, one caller", kind: local, metrics: locals, fill: true,
			block: 512, count: 204800, quick: 25600, slow: 4096, batch: 1, limit: 3,
			sides: with([]side{
				{label: "limit", system: "limit-local", durability: pageCache, options: map[string]string{"work": "sign"}},
				hyper,
			}, npms(pageCache)),
			goals: []goal{{side: "hypercore", than: "npm", value: 6}},
		},
		{
			name: "append-durable", title: "append one block of 512 bytes at a time, each waiting for the disk, 64 callers", kind: local, metrics: locals,
			block: 512, count: 204800, quick: 51200, slow: 51200, batch: 1, limit: 2,
			sides: []side{
				{label: "fdatasync", system: "limit-local", durability: "one fdatasync per block, one caller", options: map[string]string{"work": "sync"}},
				{label: "hypercore", system: "hypercore", durability: waited, options: map[string]string{"durability": "append", "callers": "64"}},
			},
			goals: []goal{{side: "hypercore", than: "fdatasync", value: 20}},
		},
		{
			name: "get-512", title: "get, random, blocks of 512 bytes, one caller", kind: local, metrics: locals, fill: true,
			block: 512, count: 204800, quick: 32768, slow: 4096, limit: 2,
			sides: with([]side{hyperRead}, npms("reads only")),
			goals: []goal{{side: "hypercore", than: "npm", value: 5}},
		},
		{
			name: "read-512", title: "read stream of blocks of 512 bytes", kind: local, metrics: locals, fill: true,
			block: 512, count: 204800, quick: 32768, slow: 4096, limit: 2,
			sides: with([]side{hyperRead}, npms("reads only")),
			goals: []goal{{side: "hypercore", than: "npm", value: 20}},
		},
		{
			name: "read-64k", title: "read stream of blocks of 64 KiB", kind: local, metrics: localBytes, fill: true,
			block: 64 * kib, count: 2048, quick: 1024, slow: 512, limit: 2,
			sides: with([]side{hyperRead}, npms("reads only")),
			goals: []goal{{side: "hypercore", than: "npm", value: 3}},
		},
		{
			name: "live", title: "append at the writer to Get returning at a reader, 100 blocks of 512 bytes per second", kind: live,
			metrics: []metric{p50, p99, cpuSend, cpuRecv, memSend, memRecv},
			block:   512, count: 1000, quick: 64, slow: 64, rate: 100,
			sides: with([]side{
				{label: "limit", system: "limit", durability: pageCache},
				{label: "hypercore", system: "hypercore", durability: "announced before the writer's disk has it", options: map[string]string{"durability": "none"}},
				{label: "hypercore-durable", system: "hypercore", durability: "announced after the writer's fdatasync"},
				{label: "group-commit", system: "limit-local", durability: "the write and the fdatasync of one commit alone", kind: local, options: map[string]string{"work": "commit"}},
			}, npms(pageCache)),
			goals: []goal{
				{side: "hypercore", than: "npm", value: 0.25, atMost: true},
				{side: "hypercore", metric: "p99 µs", than: "npm", value: 0.5, atMost: true},
				{side: "limit", than: "npm"},
				{side: "hypercore-durable", minus: "group-commit", than: "npm", value: 0.25, atMost: true},
				{side: "hypercore-durable", minus: "group-commit", metric: "p99 µs", than: "npm", value: 0.5, atMost: true},
			},
		},
	}, scaleTable()...)
}

var hyperRead = side{label: "hypercore", system: "hypercore", durability: "reads only"}
