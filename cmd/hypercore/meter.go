package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// meter knows how far something is, how fast it goes and when it will be done.
// It is pure: the caller brings the time. Not safe for concurrent use.
type meter struct {
	unit  unit
	total uint64 // 0: not known
	done  uint64
	start time.Time // of the first look
	last  time.Time // of the last step of rate
	lastN uint64    // done at that time
	rate  float64   // per second, smoothed
}

type unit int

const (
	bytesUnit unit = iota
	blocksUnit
)

// rateStep is how often the rate is looked at, rateWindow how long a change of
// speed takes to show: short enough to notice a stall, long enough to read.
const (
	rateStep   = 200 * time.Millisecond
	rateWindow = 3 * time.Second
)

// update notes that done of total are ready at now.
func (m *meter) update(now time.Time, done, total uint64) {
	m.total = total
	if m.start.IsZero() { // what was there before is not speed
		m.start, m.last, m.lastN = now, now, done
	}
	m.done = done
	dt := now.Sub(m.last)
	if dt < rateStep {
		return
	}
	var r float64
	if done > m.lastN {
		r = float64(done-m.lastN) / dt.Seconds()
	}
	w := min(1, dt.Seconds()/min(rateWindow, now.Sub(m.start)).Seconds())
	m.rate += w * (r - m.rate)
	m.last, m.lastN = now, done
}

// eta is the time left; false when nobody can know.
func (m *meter) eta() (time.Duration, bool) {
	if m.total <= m.done || m.rate <= 0 {
		return 0, false
	}
	s := float64(m.total-m.done) / m.rate
	if s > 100*3600 {
		return 0, false
	}
	return time.Duration(s * float64(time.Second)), true
}

func (m *meter) amount(n uint64) string {
	if m.unit == blocksUnit {
		return countText(n)
	}
	return bytesText(n)
}

func (m *meter) rateText() string {
	if m.unit == blocksUnit {
		return countText(uint64(m.rate)) + "/s"
	}
	return bytesText(uint64(m.rate)) + "/s"
}

// percent is the share that is done. It is 100 only when everything is.
func (m *meter) percent() int {
	if m.total == 0 {
		return 0
	}
	return int(min(m.done, m.total) * 100 / m.total)
}

// line is the state in words: 43 MiB of 102 MiB (42%), 84 MiB/s, 0.7 s left.
func (m *meter) line(note string) string {
	var b strings.Builder
	if m.total == 0 && m.done == 0 && note != "" {
		return note
	}
	b.WriteString(m.amount(m.done))
	if m.total > 0 {
		fmt.Fprintf(&b, " of %s (%d%%)", m.amount(m.total), m.percent())
	}
	if m.unit == blocksUnit {
		b.WriteString(" blocks")
	}
	fmt.Fprintf(&b, ", %s", m.rateText())
	if eta, ok := m.eta(); ok {
		fmt.Fprintf(&b, ", %s left", durationText(eta))
	}
	if note != "" {
		b.WriteString(", " + note)
	}
	return b.String()
}

// render is the state as one line of at most width characters:
//
//	label  [========>           ]  42%  43 MiB/102 MiB  84 MiB/s  0.7 s left  note
//
// Before anything is known there is only the note. The bar takes what is left by the words, and goes first when there is no room.
func (m *meter) render(width int, label, note string) string {
	head := label + "  "
	var parts []string
	if m.total == 0 && m.done == 0 && note != "" {
		return cutText(head+note, width)
	}
	if m.total > 0 {
		parts = append(parts, fmt.Sprintf("%3d%%", m.percent()), m.amount(m.done)+"/"+m.amount(m.total))
	} else {
		parts = append(parts, m.amount(m.done))
	}
	parts = append(parts, m.rateText())
	if eta, ok := m.eta(); ok {
		parts = append(parts, durationText(eta)+" left")
	}
	if note != "" {
		parts = append(parts, note)
	}
	tail := strings.Join(parts, "  ")
	const smallest, largest = 10, 40
	room := min(width-utf8.RuneCountInString(head)-utf8.RuneCountInString(tail)-4, largest)
	if m.total > 0 && room >= smallest {
		full := int(min(m.done, m.total) * uint64(room) / m.total)
		arrow := ""
		if full < room {
			arrow = ">"
		}
		head += "[" + strings.Repeat("=", full) + arrow + strings.Repeat(" ", room-full-len(arrow)) + "]  "
	}
	return cutText(head+tail, width)
}

// cutText is s without what goes past width characters.
func cutText(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	if width < 1 {
		return ""
	}
	return string([]rune(s)[:width-1]) + "…"
}
