package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"path/filepath"
	"strconv"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node/diagnosis"
)

// Client talks to one running node.
type Client struct {
	socket   string        // constant
	http     *http.Client  // constant
	patience time.Duration // constant: answerTimeout, but for tests
}

// NewClient returns a client of the node that listens at socket. It does not
// connect; without a node its calls return ErrNoNode. Node, Feeds, Peers and
// SetPeerRules return ErrNoAnswer when the node does not answer soon.
func NewClient(socket string) *Client {
	return &Client{socket: socket, patience: answerTimeout, http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			c, err := dial(ctx, socket)
			if err != nil {
				return nil, fmt.Errorf("%w at %s: %w", ErrNoNode, socket, err)
			}
			return &watched{Conn: c, broken: make(chan struct{})}, nil
		},
		DisableCompression:    true,
		ExpectContinueTimeout: time.Minute, // an append waits for the node's yes before its input is read
		ReadBufferSize:        256 << 10,
		WriteBufferSize:       256 << 10,
	}}}
}

// Close drops idle connections.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// Node describes the node.
func (c *Client) Node(ctx context.Context) (NodeInfo, error) {
	var n NodeInfo
	err := c.ask(ctx, "GET", "/v1/node", nil, nil, &n)
	return n, err
}

// Facts tells what package diagnosis judges, of the node and, unless k is
// zero, of a feed that the node holds. The node asks the DHT, which takes some
// seconds at worst. ErrNoNode: nothing runs there, or a process without a node.
func (c *Client) Facts(ctx context.Context, k feed.Key) (diagnosis.Facts, error) {
	q := url.Values{}
	if !k.IsZero() {
		q.Set("key", k.String())
	}
	var f diagnosis.Facts
	err := c.json(ctx, "GET", "/v1/facts", q, nil, &f)
	return f, err
}

// Feeds lists the feeds that the node holds.
func (c *Client) Feeds(ctx context.Context) ([]FeedInfo, error) {
	var out []FeedInfo
	err := c.ask(ctx, "GET", "/v1/feeds", nil, nil, &out)
	return out, err
}

// Feed returns the feed with key k as the node holds it. Calls return
// feed.ErrNotFound when it does not.
func (c *Client) Feed(k feed.Key) Feed { return &remote{c: c, path: "/v1/feeds/" + k.String()} }

// do sends a request. Its error is the node's, or ErrNoNode, or why ctx ended.
func (c *Client) do(ctx context.Context, method, path string, q url.Values, body io.Reader) (*http.Response, error) {
	u := url.URL{Scheme: "http", Host: "hypercore", Path: path, RawQuery: q.Encode()}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, err
	}
	return c.send(req)
}

// send sends what do or Append has made.
func (c *Client) send(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	resp, err := c.http.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // the URL says nothing to the user
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err := gone(err); errors.Is(err, ErrNodeEnded) {
			return nil, err
		}
		return nil, fmt.Errorf("control: %w", err)
	}
	if resp.StatusCode < 400 {
		return resp, nil
	}
	defer resp.Body.Close()
	var e errorBody
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&e); err != nil || e.Error.Message == "" {
		return nil, fmt.Errorf("control: the node answers %s to %s %s", resp.Status, req.Method, req.URL.Path)
	}
	return nil, gone(fromWire(e.Error))
}

func (c *Client) json(ctx context.Context, method, path string, q url.Values, body io.Reader, to any) error {
	resp, err := c.do(ctx, method, path, q, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(to); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return answerError(path, err)
	}
	return nil
}

// answerTimeout bounds a question that a node answers at once, of what it has in memory:
// one that is stopped (SIGSTOP) must not hang every command of its user.
const answerTimeout = 2 * time.Second

// ask is json for such a question. ErrNoAnswer: the time was over.
func (c *Client) ask(ctx context.Context, method, path string, q url.Values, body io.Reader, to any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.patience, ErrNoAnswer)
	defer cancel()
	return c.json(ctx, method, path, q, body, to)
}

// answerError says that an answer cannot be read.
func answerError(path string, err error) error {
	if err := gone(noEOF(err)); errors.Is(err, ErrNodeEnded) {
		return err
	}
	return fmt.Errorf("control: answer to %s: %w", path, err)
}

// lateError is the error in the trailer of an answer that was read to its end.
func lateError(resp *http.Response) error {
	s := resp.Trailer.Get(errorTrailer)
	if s == "" {
		return nil
	}
	var w wireError
	if err := json.Unmarshal([]byte(s), &w); err != nil {
		return fmt.Errorf("control: error of the node: %s", s)
	}
	return gone(fromWire(w))
}

// remote is a Feed that a node holds.
type remote struct {
	c    *Client
	path string
}

var _ Feed = (*remote)(nil)

func (f *remote) Close() error { return f.c.Close() }

func (f *remote) Info(ctx context.Context) (FeedInfo, error) {
	var i FeedInfo
	err := f.c.json(ctx, "GET", f.path, nil, nil, &i)
	return i, err
}

func (f *remote) Peers(ctx context.Context) ([]PeerInfo, error) {
	var p []PeerInfo
	err := f.c.json(ctx, "GET", f.path+"/peers", nil, nil, &p)
	return p, err
}

// Append sends the input to the node. See Feed. When ctx ends, or the input fails,
// the node still says what it has appended; when it cannot, what was sent is
// uncertain.
func (f *remote) Append(ctx context.Context, r io.Reader, cut Cut) (Appended, error) {
	cut, err := cut.check()
	if err != nil {
		return Appended{}, err
	}
	body := newUpload(ctx, r, cut)
	defer body.close()
	rctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	grace := make(chan *time.Timer, 1)
	stop := context.AfterFunc(ctx, func() { grace <- time.AfterFunc(answerGrace, cancel) })
	defer func() {
		if !stop() {
			(<-grace).Stop()
		}
	}()
	u := url.URL{Scheme: "http", Host: "hypercore", Path: f.path + "/append", RawQuery: cut.query().Encode()}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(rctx, body.trace()), "POST", u.String(), body)
	if err != nil {
		return Appended{}, err
	}
	req.Header.Set("Expect", "100-continue")
	req.Trailer = body.trailer
	var out appendFailed
	resp, err := f.c.send(req)
	var answered *RemoteError
	told := err == nil || errors.As(err, &answered)
	if err == nil {
		defer resp.Body.Close()
		if err = json.NewDecoder(resp.Body).Decode(&out); err != nil {
			out, told, err = appendFailed{}, false, answerError(u.Path, err)
		} else if out.Error != nil {
			err = gone(fromWire(*out.Error))
		}
	}
	sent, cutOff := body.sent()
	if !told {
		out.Appended = Appended{Uncertain: sent, Unanswered: true}
	}
	if cutOff == nil && rctx.Err() != nil {
		cutOff = context.Cause(ctx)
	}
	if cutOff != nil {
		err = cutOff
	}
	return out.Appended, err
}

func (f *remote) Get(ctx context.Context, index uint64) ([]byte, error) {
	resp, err := f.c.do(ctx, "GET", f.path+"/blocks/"+strconv.FormatUint(index, 10), nil, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, answerError(f.path, err)
	}
	return b, nil
}

func (f *remote) Cat(ctx context.Context, o CatOptions, fn func(uint64, []byte) error) error {
	resp, err := f.c.do(ctx, "GET", f.path+"/blocks", o.query(), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	br := bufio.NewReaderSize(resp.Body, 256<<10)
	var buf []byte
	for {
		var index uint64
		index, buf, err = readFrame(br, buf)
		switch {
		case err == io.EOF:
			return lateError(resp)
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return answerError(f.path, err)
		}
		if err := fn(index, buf); err != nil {
			return err
		}
	}
}

func (f *remote) Verify(ctx context.Context, progress func(done, total uint64)) (Report, error) {
	resp, err := f.c.do(ctx, "POST", f.path+"/verify", nil, nil)
	if err != nil {
		return Report{}, err
	}
	defer resp.Body.Close()
	dec := json.NewDecoder(resp.Body)
	for {
		var l verifyLine
		err := dec.Decode(&l)
		switch {
		case ctx.Err() != nil:
			return Report{}, context.Cause(ctx)
		case err != nil:
			return Report{}, answerError(f.path, err)
		case l.Error != nil:
			return Report{}, gone(fromWire(*l.Error))
		case l.Report != nil:
			return *l.Report, nil
		case progress != nil:
			progress(l.Done, l.Total)
		}
	}
}

// Find returns the running node of this home that holds the feed in directory
// dir, or with key k when dir is empty. ErrNoNode: none does.
func (h *Home) Find(ctx context.Context, dir string, k feed.Key) (*Client, feed.Key, error) {
	return h.find(ctx, dir, k, nil)
}

// FindOther is Find for a directory, but for the process that has claimed the slot
// own.
func (h *Home) FindOther(ctx context.Context, dir string, own *Slot) (*Client, feed.Key, error) {
	return h.find(ctx, dir, feed.Key{}, own)
}

func (h *Home) find(ctx context.Context, dir string, k feed.Key, own *Slot) (*Client, feed.Key, error) {
	q := url.Values{}
	path := "/v1/feeds"
	if dir != "" {
		q.Set("dir", Canonical(dir))
	} else {
		path += "/" + k.String()
	}
	for _, s := range h.Slots() {
		if own != nil && s.Socket == own.Socket() {
			continue
		}
		c := NewClient(s.Socket)
		var found []FeedInfo
		var err error
		if dir != "" {
			err = c.ask(ctx, "GET", path, q, nil, &found)
		} else {
			found = make([]FeedInfo, 1)
			err = c.ask(ctx, "GET", path, nil, nil, &found[0])
		}
		if err == nil && len(found) > 0 {
			k, err := feed.ParseKey(found[0].Key)
			return c, k, err
		}
		c.Close()
		if ctx.Err() != nil {
			return nil, k, context.Cause(ctx)
		}
	}
	return nil, k, ErrNoNode
}

// Canonical is the one name of a directory, whatever links lead to it.
func Canonical(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	if d, err := filepath.EvalSymlinks(dir); err == nil {
		return d
	}
	return filepath.Clean(dir)
}
