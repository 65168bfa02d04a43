package main

import (
	"math"
	"slices"
)

// spread is what is printed of several runs.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	N      int     `json:"n"`
}

func spreadOf(v []float64) spread {
	if len(v) == 0 {
		return spread{Median: math.NaN(), Min: math.NaN(), Max: math.NaN()}
	}
	s := slices.Sorted(slices.Values(v))
	n := len(s)
	return spread{Median: (s[(n-1)/2] + s[n/2]) / 2, Min: s[0], Max: s[n-1], N: n}
}

// percentile is the smallest value that at least p of the values (0 < p <= 1)
// are not above. It sorts v.
func percentile(v []float64, p float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	slices.Sort(v)
	return v[min(len(v)-1, max(0, int(math.Ceil(p*float64(len(v))))-1))]
}

// pairs divides a by b round by round, leaving out rounds that lack either.
func pairs(a, b []float64) []float64 {
	var r []float64
	for i := range min(len(a), len(b)) {
		if !math.IsNaN(a[i]) && !math.IsNaN(b[i]) && b[i] != 0 {
			r = append(r, a[i]/b[i])
		}
	}
	return r
}

// less takes b off a round by round; a round that lacks either has no value.
func less(a, b []float64) []float64 {
	r := make([]float64, len(a))
	for i := range a {
		r[i] = math.NaN()
		if i < len(b) {
			r[i] = a[i] - b[i] // NaN if either is
		}
	}
	return r
}

// best takes from each round the best value of several sides.
func best(lower bool, sides ...[]float64) []float64 {
	var out []float64
	for _, side := range sides {
		for i, v := range side {
			if i == len(out) {
				out = append(out, math.NaN())
			}
			if !math.IsNaN(v) && (math.IsNaN(out[i]) || lower == (v < out[i])) {
				out[i] = v
			}
		}
	}
	return out
}

// present drops the rounds without a value.
func present(v []float64) []float64 {
	return slices.DeleteFunc(slices.Clone(v), math.IsNaN)
}
