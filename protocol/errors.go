package protocol

import (
	"errors"
	"fmt"
)

var (
	// ErrClosed: the engine or the stream was closed on this side.
	ErrClosed = errors.New("protocol: closed")
	// ErrNotAdded: the feed was not added to the engine, or was removed.
	ErrNotAdded = errors.New("protocol: feed not added")
	// ErrAdded: a feed with this discovery key was added already.
	ErrAdded = errors.New("protocol: feed already added")
	// ErrTooManyFeeds: more feeds than channels on one stream.
	ErrTooManyFeeds = errors.New("protocol: too many feeds on one stream")
	// ErrNotKin: a V6 stream is for one feed, and those that StreamOptions.Kin allows
	// beside it.
	ErrNotKin = errors.New("protocol: the stream is for another feed")
	// ErrSameID: a Native stream whose LocalID and RemoteID are equal, or both
	// missing. What proves one side would prove the other one then.
	ErrSameID = errors.New("protocol: a native stream needs the different IDs of its two sides")
	// ErrBacklog: the remote reads too slowly for more extension messages.
	ErrBacklog = errors.New("protocol: too much is waiting to be sent")
	// ErrMemory: the stream would need more memory than there is for it, see
	// Memory and MaxStreamMemory. It is nobody's fault.
	ErrMemory = errors.New("protocol: no memory for the stream")
	// ErrExtensionName: an extension cannot be registered: its name is empty, too long,
	// or registered already, or there are too many.
	ErrExtensionName = errors.New("protocol: extension name is empty, too long or taken, or one too many")
	// ErrNoExtension: the remote does not have the extension, or the feed is not
	// open on its stream.
	ErrNoExtension = errors.New("protocol: remote does not have the extension")
)

// What a remote can do wrong, besides what protocol/wire and feed find
// (*wire.Error, feed.ErrInvalidProof). Each is wrapped in a *RemoteError.
var (
	// ErrTimeout: nothing came for the time of StreamOptions.Timeout.
	ErrTimeout = errors.New("remote timed out")
	// ErrNotReading: a write did not get through for a minute, or megabytes of
	// refusals wait to be read.
	ErrNotReading = errors.New("remote does not read")
	// ErrSilent: requests were left unanswered, or refused for now, again and again.
	ErrSilent = errors.New("remote does not answer requests")
	// ErrUnknownFeed (V6): the first feed of the remote is not here.
	ErrUnknownFeed = errors.New("remote opened a feed that is not here")
	// ErrFirstFeed (V6): with encryption the first feed must be the same on both sides.
	ErrFirstFeed = errors.New("first shared feed must be the same")
	// ErrNoNonce (V6): the stream is to be encrypted and the first Feed has no nonce.
	ErrNoNonce = errors.New("remote did not include a nonce")
	// ErrEcho (V6): what an engine has sent came back to it, on this stream or another.
	// The remote only repeats it, or this side is connected to itself.
	ErrEcho = errors.New("remote sends back what this side has sent")
	// ErrUnopened: a message on a channel that no Feed was sent on, or too many
	// for a feed that is not open here.
	ErrUnopened = errors.New("message on a channel that is not open")
	// ErrUnasked: too many blocks that were not asked for.
	ErrUnasked = errors.New("remote sends what was not asked for")
	// ErrEmptyData: a Data with neither value nor nodes.
	ErrEmptyData = errors.New("data without value and nodes")
)

// RemoteError is a fault of the remote. Errors of this side (disk, context,
// connection) never have this type.
type RemoteError struct {
	Label string // StreamOptions.Label
	Op    string // what was being done
	Err   error
}

func (e *RemoteError) Error() string {
	if e.Label == "" {
		return fmt.Sprintf("protocol: remote: %s: %v", e.Op, e.Err)
	}
	return fmt.Sprintf("protocol: remote %s: %s: %v", e.Label, e.Op, e.Err)
}

// Unwrap returns the cause.
func (e *RemoteError) Unwrap() error { return e.Err }
