package main

import (
	"slices"
	"strconv"
)

// The rows about size: long feeds, many feeds, little memory, quick starts.

const tenMillion = 10_000_000

// lengths are sides of hypercore that work on feeds of 1,000 to 10,000,000
// blocks; short ones come in numbers, so that there is something to measure.
func lengths() []side {
	scaled := func(label string, feeds, each int) side {
		return side{
			label: label, system: "hypercore", durability: "not synced: the cost of the work alone", count: feeds * each,
			options: map[string]string{"feeds": strconv.Itoa(feeds), "durability": "none"},
		}
	}
	return []side{scaled("1k", 100, 1000), scaled("100k", 1, 100_000), scaled("1m", 1, 1_000_000), scaled("10m", 1, tenMillion)}
}

// preads are the sides that only read the blocks of lengths, from the data set.
func preads() (sides []side) {
	for _, s := range lengths() {
		sides = append(sides, side{
			label: "pread-" + s.label, system: "limit-local", durability: "reads only", count: s.count, kind: onData,
			options: map[string]string{"work": "pread", "feeds": s.options["feeds"]},
		})
	}
	return sides
}

// flat are the goals that a block costs at most 1.3 times as much in a feed of
// ten million as in shorter ones, by a metric; empty: the first of the row.
func flat(metric string) []goal {
	return []goal{{side: "10m", than: "1k", metric: metric, value: 1 / 1.3}, {side: "10m", than: "100k", metric: metric, value: 1 / 1.3}}
}

// later is the rate of Get after the first second.
var later = figure("later blocks/s", "later", 1, false)

func scaleTable() []row {
	cost := []metric{perSecond, cpuTotal, memOnly}
	return []row{
		{
			name: "open-10m", title: "open a feed of 10,000,000 blocks and read one", kind: onSource, op: "open",
			metrics: []metric{figure("ms", "ms", 1, true), figure("MiB more", "more", mib, true), figure("first get µs", "get_us", 1, true), memOnly},
			block:   32, count: tenMillion, long: true,
			sides: []side{{label: "hypercore", system: "hypercore", durability: "reads only"}},
			goals: []goal{
				{side: "hypercore", metric: "ms", atMost: true, value: 50},
				{side: "hypercore", metric: "MiB more", atMost: true, value: 32},
			},
		},
		{
			name: "cost-append", title: "append 128 blocks of 32 bytes at a time to feeds of 1,000 to 10,000,000 blocks", kind: onSource, op: "grow",
			metrics: cost, block: 32, count: tenMillion, batch: 128, long: true,
			sides: lengths(), goals: flat(""),
		},
		{
			name: "cost-get", title: "get, random, from feeds of 1,000 to 10,000,000 blocks of 32 bytes", kind: onSource, op: "pick",
			metrics: []metric{perSecond, later, cpuTotal, memOnly}, block: 32, count: tenMillion, limit: 1, long: true,
			sides: with(lengths(), preads()),
			// Reading from a large file costs more than from a small one, whoever does it.
			// The first second after Open is the row; what the feed has learned by then is
			// there for the next one.
			goals: slices.Concat(flat(""), flat(later.name), []goal{{side: "pread-10m", than: "pread-1k"}, {side: "10m", than: "pread-10m"}, {side: "1k", than: "pread-1k"}}),
		},
		{
			name: "cost-replicate", title: "replicate whole feeds of 1,000 to 10,000,000 blocks of 32 bytes", kind: transfer, rounds: 3,
			metrics: []metric{perSecond, speed, cpuSend, cpuRecv, memSend, memRecv}, block: 32, count: tenMillion, long: true,
			sides: lengths(), goals: flat(""),
		},
		{
			name: "memory-4g", title: "replicate 4 GiB in blocks of 64 KiB", kind: transfer, rounds: 3,
			metrics: []metric{memSend, memRecv, speed, perSecond, cpuSend, cpuRecv}, block: 64 * kib, count: 65536, long: true,
			sides: []side{{label: "hypercore", system: "hypercore", durability: committed}},
			goals: []goal{
				{side: "hypercore", metric: "MiB send", atMost: true, value: 150},
				{side: "hypercore", metric: "MiB recv", atMost: true, value: 150},
			},
		},
		{
			name: "idle-10k", title: "one node that seeds 10,000 feeds of 10 blocks, idle", kind: onSource, op: "idle",
			metrics: []metric{figure("KiB per feed", "each", kib, true), figure("open files", "files", 1, true), figure("ready s", "seconds", 1, true), figure("request ms", "request_ms", 1, true), figure("worst request ms", "worst_ms", 1, true), cpuTotal, memOnly},
			block:   64, count: 100000, long: true,
			sides: []side{{label: "hypercore", system: "hypercore", durability: "reads only", options: map[string]string{"feeds": "10000"}}},
			goals: []goal{
				{side: "hypercore", metric: "KiB per feed", atMost: true, value: 20},
				{side: "hypercore", metric: "open files", atMost: true, value: 256},
				{side: "hypercore", metric: "ready s", atMost: true, value: 3},
				{side: "hypercore", metric: "worst request ms", atMost: true, value: 50},
			},
		},
		{
			name: "feeds-1k", title: "replicate 1,000 feeds of 100 blocks of 512 bytes over one stream", kind: transfer,
			metrics: []metric{perSecond, figure("feeds/s", "feeds_per_second", 1, false), figure("streams", "streams", 1, true), cpuSend, cpuRecv, memSend, memRecv},
			block:   512, count: 100000, long: true,
			sides: []side{{label: "hypercore", system: "hypercore", durability: committed, options: map[string]string{"feeds": "1000"}}},
			goals: []goal{{side: "hypercore", metric: "streams", atMost: true, value: 1}},
		},
		{
			name: "start", title: "start of the command, from exec to exit, or to listening", kind: command,
			metrics: []metric{figure("ms", "ms", 1, true)},
			sides: []side{
				{label: "version", durability: "-"}, {label: "info", durability: "reads only"},
				{label: "append", durability: "durable when it ends"}, {label: "seed", durability: "-"},
			},
			goals: []goal{
				{side: "version", metric: "ms", atMost: true, value: 25}, {side: "info", metric: "ms", atMost: true, value: 25},
				{side: "append", metric: "ms", atMost: true, value: 25}, {side: "seed", metric: "ms", atMost: true, value: 300},
			},
		},
	}
}
