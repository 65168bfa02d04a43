package main

import (
	"context"
	"fmt"
)

// A system is one thing that can be measured, as it is inside one process: a
// sender or a receiver or the only one. It serves one request at a time.
type system interface {
	// Prepare fills r.Dir with what the sender starts from. Not measured.
	Prepare(ctx context.Context, r *request) error
	// Serve opens what Prepare left and returns what a receiver needs to dial.
	Serve(ctx context.Context, r *request) (offer string, err error)
	// Fetch makes the data set of r arrive in r.Dir, which is empty, from the
	// sender that made r.Offer. It returns when all is verified and written.
	Fetch(ctx context.Context, r *request) (figures, error)
	// Check closes what is open, reads back what r.Dir holds, in order, and
	// returns its SHA-256.
	Check(ctx context.Context, r *request) (string, error)
	// Close ends everything.
	Close() error
}

// A worker does rows that need one process only: r.Op says which.
type worker interface {
	Work(ctx context.Context, r *request) (figures, error)
}

// A follower does the live rows: each block begins with the time of its append.
type follower interface {
	LiveServe(ctx context.Context, r *request) (offer string, err error)
	// LiveJoin returns once the two are connected.
	LiveJoin(ctx context.Context, r *request) error
	// LiveWrite appends r.Data.Count blocks, r.Rate per second.
	LiveWrite(ctx context.Context, r *request) error
	// LiveRead waits for each block in turn and returns microseconds from the
	// call of append to the return of get.
	LiveRead(ctx context.Context, r *request) ([]float64, error)
}

// systems holds the Go systems by the name a request uses.
var systems = map[string]func() system{}

// register is called by the init function of each system's file.
func register(name string, make func() system) {
	if systems[name] != nil {
		panic("two systems named " + name)
	}
	systems[name] = make
}

// noTransfer is embedded by systems that only do local work.
type noTransfer struct{}

func (noTransfer) Prepare(context.Context, *request) error { return nil }
func (noTransfer) Serve(context.Context, *request) (string, error) {
	return "", fmt.Errorf("this system does not serve")
}
func (noTransfer) Fetch(context.Context, *request) (figures, error) {
	return nil, fmt.Errorf("this system does not fetch")
}
func (noTransfer) Check(context.Context, *request) (string, error) {
	return "", fmt.Errorf("this system holds nothing to check")
}
func (noTransfer) Close() error { return nil }
