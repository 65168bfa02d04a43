package main

import (
	"testing"
	"time"
)

func TestMeter(t *testing.T) {
	at := time.Unix(1000, 0)
	m := &meter{}
	if got := m.render(80, "clone", "looking"); got != "clone  looking" {
		t.Errorf("before anything is known: %s", got)
	}
	m.update(at, 10<<20, 110<<20) // resumed: 10 MiB were there
	for range 50 {
		at = at.Add(100 * time.Millisecond)
		m.update(at, m.done+1<<20, 110<<20)
	}
	if got, want := m.line("2 peers"), "60 MiB of 110 MiB (54%), 10 MiB/s, 5.0 s left, 2 peers"; got != want {
		t.Errorf("line: %s, want %s", got, want)
	}
	for width := range 120 {
		if got := m.render(width, "clone", "2 peers"); len([]rune(got)) > width {
			t.Errorf("width %d: %d characters: %s", width, len([]rune(got)), got)
		}
	}
	if got, want := m.render(90, "clone", "2 peers"), "clone  [===============>            ]   54%  60 MiB/110 MiB  10 MiB/s  5.0 s left  2 peers"; got != want {
		t.Errorf("render:\n%s, want\n%s", got, want)
	}
	if got, want := m.render(40, "clone", "2 peers"), "clone   54%  60 MiB/110 MiB  10 MiB/s  …"; got != want {
		t.Errorf("narrow:\n%s, want\n%s", got, want)
	}
	for range 60 { // a stall shows
		at = at.Add(200 * time.Millisecond)
		m.update(at, m.done, 110<<20)
	}
	if m.rate > 1<<20 {
		t.Errorf("rate after a stall: %s", m.rateText())
	}
}

func TestSize(t *testing.T) {
	for in, want := range map[string]int64{"1": 1, "64KiB": 65536, "64k": 65536, "1MB": 1e6, "1.5 GiB": 3 << 29, "10 b": 10} {
		if n, err := parseSize(in); err != nil || n != want {
			t.Errorf("%q: %d, %v", in, n, err)
		}
	}
	for _, in := range []string{"", "x", "-1", "1 parsec", "99999999999999999999G"} {
		if n, err := parseSize(in); err == nil {
			t.Errorf("%q: %d", in, n)
		}
	}
}

func TestText(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 1023: "1023 B", 1024: "1 KiB", 65536: "64 KiB", 1 << 20: "1 MiB", 1500 << 10: "1.5 MiB", 300 << 20: "300 MiB"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	for n, want := range map[uint64]string{1: "1", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := countText(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{0: "0 ms", 1500 * time.Millisecond: "1.5 s", 187 * time.Second: "3:07", 7384 * time.Second: "2:03:04"} {
		if got := durationText(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
