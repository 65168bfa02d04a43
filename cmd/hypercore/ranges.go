package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/go-hypercore/hypercore/feed"
)

// Ranges of blocks on the command line: A-B with both included, A- to the end, A alone.

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

func parseRange(s string) (feed.Range, error) {
	from, to, dash := strings.Cut(s, "-")
	a, err := strconv.ParseUint(from, 10, 53)
	if err != nil {
		return feed.Range{}, usagef("--range %s: it looks like 1000-1010, the first and the last block", s)
	}
	b := a
	switch {
	case dash && to == "":
		return feed.Range{Start: a}, nil
	case dash:
		if b, err = strconv.ParseUint(to, 10, 53); err != nil || b < a {
			return feed.Range{}, usagef("--range %s: it looks like 1000-1010, the first and the last block", s)
		}
	}
	return feed.Range{Start: a, End: b + 1}, nil
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
