package control

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/go-hypercore/hypercore/feed"
)

// errorTrailer carries the error of an answer that has begun.
const errorTrailer = "Hypercore-Error"

// Bounds of the server. Clients are processes of the same user; these keep a
// client that hangs from holding the node's shutdown.
const (
	headerTimeout = 10 * time.Second
	closeGrace    = 2 * time.Second // requests in flight may end by themselves for so long
	flushAt       = 256 << 10       // bytes of blocks gathered before they are written
)

// Server answers on a control socket.
type Server struct {
	back   Backend            // constant
	ctx    context.Context    // constant; ends with the server
	http   *http.Server       // constant
	cancel context.CancelFunc // constant; ends all requests
	done   chan struct{}      // closed when Serve has returned
}

// NewServer serves back on l until Close, which also closes l.
func NewServer(l net.Listener, back Backend) *Server {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{back: back, ctx: ctx, cancel: cancel, done: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/node", s.json(s.node))
	mux.HandleFunc("GET /v1/facts", s.json(s.facts))
	mux.HandleFunc("GET /v1/feeds", s.json(s.feeds))
	mux.HandleFunc("GET /v1/feeds/{key}", s.json(s.info))
	mux.HandleFunc("GET /v1/feeds/{key}/peers", s.json(s.peers))
	mux.HandleFunc("POST /v1/feeds/{key}/append", s.json(s.append))
	mux.HandleFunc("GET /v1/feeds/{key}/blocks/{index}", s.get)
	mux.HandleFunc("GET /v1/feeds/{key}/blocks", s.cat)
	mux.HandleFunc("POST /v1/feeds/{key}/verify", s.verify)
	mux.HandleFunc("GET /v1/peers", s.json(s.nodePeers))
	mux.HandleFunc("PUT /v1/peers/rules", s.json(s.setPeerRules))
	s.http = &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: headerTimeout,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	go func() {
		defer close(s.done)
		s.http.Serve(l)
	}()
	return s
}

// Close stops listening, lets requests in flight end for a moment, then ends
// them. It may be called twice.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	stop := time.AfterFunc(closeGrace/2, s.cancel) // live ones never end by themselves
	defer stop.Stop()
	err := s.http.Shutdown(ctx)
	s.cancel()
	if err != nil {
		err = s.http.Close()
	}
	<-s.done
	return err
}

// json makes a handler of a function that returns what to answer.
func (s *Server) json(f func(r *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := f(r)
		if err != nil {
			fail(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(v)
	}
}

type errorBody struct {
	Error wireError `json:"error"`
}

// fail answers with an error, before anything else was written.
func fail(w http.ResponseWriter, err error) {
	we, status := toWire(err)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(errorBody{we})
}

// failLate reports an error after the answer has begun.
func failLate(w http.ResponseWriter, err error) {
	we, _ := toWire(err)
	b, jerr := json.Marshal(we)
	if jerr != nil {
		b = []byte(`{"message":"error"}`)
	}
	w.Header().Set(http.TrailerPrefix+errorTrailer, string(b))
}

func (s *Server) node(*http.Request) (any, error) {
	n := s.back.Node()
	n.API = 1
	return n, nil
}

func (s *Server) facts(r *http.Request) (any, error) {
	var k feed.Key
	if v := r.URL.Query().Get("key"); v != "" {
		var err error
		if k, err = feed.ParseKey(v); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBadRequest, err)
		}
		if _, ok := s.back.Feed(k); !ok {
			return nil, fmt.Errorf("control: this node does not have feed %s open: %w", k, feed.ErrNotFound)
		}
	}
	return s.back.Facts(r.Context(), k)
}

func (s *Server) feeds(r *http.Request) (any, error) {
	out := []FeedInfo{}
	dir := r.URL.Query().Get("dir")
	if dir != "" {
		dir = Canonical(dir)
	}
	for _, of := range s.back.Feeds() {
		if dir != "" && of.Dir != dir {
			continue
		}
		i, err := newLocal(of).Info(r.Context())
		if err != nil {
			continue // closed meanwhile
		}
		out = append(out, i)
	}
	return out, nil
}

// local returns the feed that a request names.
func (s *Server) local(r *http.Request) (*Local, error) {
	k, err := feed.ParseKey(r.PathValue("key"))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	of, ok := s.back.Feed(k)
	if !ok {
		return nil, fmt.Errorf("control: this node does not have feed %s open: %w", k, feed.ErrNotFound)
	}
	return newLocal(of), nil
}

func (s *Server) info(r *http.Request) (any, error) {
	f, err := s.local(r)
	if err != nil {
		return nil, err
	}
	return f.Info(r.Context())
}

func (s *Server) peers(r *http.Request) (any, error) {
	f, err := s.local(r)
	if err != nil {
		return nil, err
	}
	p, err := f.Peers(r.Context())
	if p == nil {
		p = []PeerInfo{}
	}
	return p, err
}

// appendFailed is the answer to an append that got part of the way.
type appendFailed struct {
	Appended Appended   `json:"appended"`
	Error    *wireError `json:"error,omitempty"`
}

func (s *Server) append(r *http.Request) (any, error) {
	f, err := s.local(r)
	if err != nil {
		return nil, err
	}
	cut, err := parseCut(r.URL.Query())
	if err != nil {
		return nil, err
	}
	// Not the request's context: what has arrived is appended also when the
	// client is gone, which shows as the end of the body.
	a, err := f.Append(s.ctx, received{r}, cut)
	if err != nil && a.Blocks+a.Uncertain == 0 {
		return nil, err
	}
	out := appendFailed{Appended: a}
	if err != nil {
		we, _ := toWire(err)
		out.Error = &we
	}
	return out, nil
}

func (s *Server) get(w http.ResponseWriter, r *http.Request) {
	f, err := s.local(r)
	if err != nil {
		fail(w, err)
		return
	}
	i, err := strconv.ParseUint(r.PathValue("index"), 10, 64)
	if err != nil {
		fail(w, fmt.Errorf("%w: index %q", ErrBadRequest, r.PathValue("index")))
		return
	}
	b, err := f.Get(r.Context(), i)
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.Write(b)
}

func (o CatOptions) query() url.Values {
	u := func(n uint64) string { return strconv.FormatUint(n, 10) }
	return url.Values{"start": {u(o.Start)}, "end": {u(o.End)}, "tail": {u(o.Tail)}, "live": {strconv.FormatBool(o.Live)}}
}

func parseCat(q url.Values) (o CatOptions, err error) {
	for _, p := range []struct {
		name string
		to   *uint64
	}{{"start", &o.Start}, {"end", &o.End}, {"tail", &o.Tail}} {
		if v := q.Get(p.name); v != "" {
			if *p.to, err = strconv.ParseUint(v, 10, 64); err != nil {
				return o, fmt.Errorf("%w: %s %q", ErrBadRequest, p.name, v)
			}
		}
	}
	if v := q.Get("live"); v != "" {
		if o.Live, err = strconv.ParseBool(v); err != nil {
			return o, fmt.Errorf("%w: live %q", ErrBadRequest, v)
		}
	}
	return o, nil
}

// cat streams blocks. They are gathered while they come without waiting and
// flushed when the feed pauses: a follower sees each append at once.
func (s *Server) cat(w http.ResponseWriter, r *http.Request) {
	f, err := s.local(r)
	if err != nil {
		fail(w, err)
		return
	}
	o, err := parseCat(r.URL.Query())
	if err != nil {
		fail(w, err)
		return
	}
	rc := http.NewResponseController(w)
	w.Header().Set("Content-Type", "application/octet-stream")
	g := newGather(func(b []byte) error {
		if _, err := w.Write(b); err != nil {
			return err
		}
		return rc.Flush()
	})
	err = f.Cat(r.Context(), o, g.add)
	if ferr := g.close(); err == nil {
		err = ferr
	}
	switch {
	case err == nil:
	case g.sent:
		failLate(w, err)
	default:
		fail(w, err)
	}
}

// verify streams progress and the report as lines of JSON.
func (s *Server) verify(w http.ResponseWriter, r *http.Request) {
	f, err := s.local(r)
	if err != nil {
		fail(w, err)
		return
	}
	rc := http.NewResponseController(w)
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc := json.NewEncoder(w)
	rep, err := f.Verify(r.Context(), func(done, total uint64) {
		enc.Encode(verifyLine{Done: done, Total: total})
		rc.Flush()
	})
	line := verifyLine{Report: &rep}
	if err != nil {
		we, _ := toWire(err)
		line = verifyLine{Error: &we}
	}
	enc.Encode(line)
}

type verifyLine struct {
	Done   uint64     `json:"done,omitempty"`
	Total  uint64     `json:"total,omitempty"`
	Report *Report    `json:"report,omitempty"`
	Error  *wireError `json:"error,omitempty"`
}
