//go:build !amd64 || purego

package lanes

func width() int { return 1 }

// compress is not called with one lane.
func (s *state) compress(uint64) { panic("lanes: no vector unit") }
