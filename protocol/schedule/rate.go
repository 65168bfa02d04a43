package schedule

import "time"

const (
	rateSamples  = 6                     // the window follows the highest of these
	rateInterval = 10 * time.Millisecond // shortest sample
)

// rate estimates how fast a peer answers: the highest of the last samples of
// bytes over time. A sample lasts one round: until something is answered that
// was asked after it began, so that a burst in the middle of a round does not
// look like the rate. A sample at whose end nothing was in flight says little
// (too little was asked for), so it only counts when it is higher.
type rate struct {
	samples [rateSamples]float64
	next    int
	best    float64
	since   time.Duration // begin of the sample that is being taken
	bytes   int
	started bool
	peak    float64 // the last sample that was much higher than the one before it
	flat    int     // samples since then
}

func (r *rate) value() float64 { return r.best }

// gain is how much more than a round's worth may be in flight: enough to double
// while the rate grows, a little once it is found, to notice when there is more.
func (r *rate) gain() float64 {
	if r.flat >= 3 {
		return 1.25
	}
	return 2
}

// add counts an answer to what was asked at the time asked.
func (r *rate) add(bytes int, now, asked time.Duration, drained bool) {
	if !r.started {
		r.started, r.since = true, asked
	}
	r.bytes += bytes
	d := now - r.since
	if drained {
		if v := float64(r.bytes) / seconds(max(d, time.Millisecond)); v > r.best {
			r.put(v)
		}
		r.started, r.bytes = false, 0
		return
	}
	if d < rateInterval || asked < r.since {
		return
	}
	r.put(float64(r.bytes) / seconds(d))
	r.since, r.bytes = now, 0
}

func (r *rate) put(v float64) {
	r.samples[r.next%rateSamples] = v
	r.next++
	if v > 1.25*r.peak {
		r.peak, r.flat = v, 0
	} else {
		r.flat++
	}
	r.best = 0
	for _, s := range r.samples {
		r.best = max(r.best, s)
	}
}
