package main

import (
	"math"
	"slices"
	"testing"
)

var nan = math.NaN()

func TestSpread(t *testing.T) {
	if s := spreadOf([]float64{5, 1, 3}); s != (spread{3, 1, 5, 3}) {
		t.Error(s)
	}
	if s := spreadOf([]float64{4, 1, 3, 2}); s != (spread{2.5, 1, 4, 4}) {
		t.Error(s)
	}
	if s := spreadOf(nil); !math.IsNaN(s.Median) || s.N != 0 {
		t.Error(s)
	}
}

func TestPercentile(t *testing.T) {
	var v []float64
	for i := 100; i > 0; i-- {
		v = append(v, float64(i))
	}
	for p, want := range map[float64]float64{0.5: 50, 0.99: 99, 1: 100, 0.001: 1} {
		if got := percentile(v, p); got != want {
			t.Errorf("p%v = %v, want %v", p, got, want)
		}
	}
}

func TestPairsAndBest(t *testing.T) {
	if r := pairs([]float64{2, nan, 9}, []float64{1, 1, 3, 7}); !slices.Equal(r, []float64{2, 3}) {
		t.Error(r)
	}
	if b := best(false, []float64{1, nan}, []float64{2, 5, 6}); !slices.Equal(b, []float64{2, 5, 6}) {
		t.Error(b)
	}
	if b := best(true, []float64{1, nan}, []float64{2, 5}); !slices.Equal(b, []float64{1, 5}) {
		t.Error(b)
	}
}
