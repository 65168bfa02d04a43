package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/go-hypercore/hypercore/feed"
)

// Ranges of blocks and the like, on the command line and as they are shown: A-B with both
// included, A- to the end, A alone.

// openEnd is the end of A-, after all that a feed can have.
const openEnd = 1 << 53

// span parses A-B, A- (to the end) or A of a flag; end is not included.
func span(flag, s string) (start, end uint64, err error) {
	from, to, dash := strings.Cut(s, "-")
	start, err = strconv.ParseUint(from, 10, 53)
	last := start
	if err == nil && dash {
		if last = openEnd - 1; to != "" {
			last, err = strconv.ParseUint(to, 10, 53)
		}
	}
	if err != nil || last < start {
		return 0, 0, usagef("--%s %s: it looks like 10-20, the first and the last", flag, s)
	}
	return start, last + 1, nil
}

// parseRanges parses the values of --range, each one or several with commas.
func parseRanges(in []string) (out []feed.Range, err error) {
	for _, s := range split(in) {
		r, err := parseRange(s)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// parseRange is span for blocks of a feed.
func parseRange(s string) (feed.Range, error) {
	start, end, err := span("range", s)
	if end == openEnd {
		end = 0
	}
	return feed.Range{Start: start, End: end}, err
}

// rangeText is what parseRange parses: the blocks start to end-1, to the end of the feed
// when end is 0.
func rangeText(start, end uint64) string {
	switch end {
	case 0:
		return fmt.Sprintf("%d-", start)
	case start + 1:
		return strconv.FormatUint(start, 10)
	}
	return fmt.Sprintf("%d-%d", start, end-1)
}

// spansText lists ranges as A-B, both included.
func spansText(spans []feed.Span, count uint64) string {
	if count == 0 {
		return "none"
	}
	parts := make([]string, 0, len(spans)+1)
	for _, s := range spans {
		if s.End == s.Start+1 {
			parts = append(parts, strconv.FormatUint(s.Start, 10))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", s.Start, s.End-1))
		}
		count -= min(count, s.End-s.Start)
	}
	if count > 0 {
		parts = append(parts, "and "+countText(count)+" more")
	}
	return strings.Join(parts, ", ")
}
