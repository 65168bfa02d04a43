package wire

const (
	// KeyLen is the length of a discovery key and of a capability, in bytes.
	KeyLen = 32
	// NonceLen is the length of a nonce of XSalsa20, in bytes.
	NonceLen = 24
	// MaxID bounds Handshake.ID. hypercore 6 uses 32 bytes; libp2p peer IDs have up to 42.
	MaxID = 64
	// MaxUserData bounds Handshake.UserData: it is kept as long as the stream lives.
	MaxUserData = 65536
	// MaxExtensions bounds the names in a Handshake: they are kept as long as the stream lives.
	MaxExtensions = 256
	// MaxExtensionName bounds each of these names, in bytes.
	MaxExtensionName = 256
)

// Feed binds a channel to a feed (hypercore 6, type 0). The first of a stream is never encrypted.
type Feed struct {
	DiscoveryKey [KeyLen]byte
	Nonce        []byte // NonceLen bytes or nil: the sender encrypts with it (native dialect: the freshness of Capability)
	Capability   []byte // KeyLen bytes or nil; native dialect only: proof that the sender knows the public key
	Answers      []byte // native dialect only: Nonce of the Feed that this one answers, empty or nil if none
}

// AppendFeed appends a Feed frame.
func AppendFeed(dst []byte, channel uint64, m Feed) []byte {
	dst, at := openSmall(dst, channel, TypeFeed)
	dst = append(append(dst, 0x0a, KeyLen), m.DiscoveryKey[:]...)
	if m.Nonce != nil {
		dst = appendBytes(dst, 0x12, m.Nonce)
	}
	if m.Capability != nil {
		dst = appendBytes(dst, 0x1a, m.Capability)
	}
	if m.Answers != nil {
		dst = appendBytes(dst, 0x22, m.Answers)
	}
	return closeSmall(dst, at)
}

// ParseFeed reads the body of a Feed frame. Nonce, Capability and Answers alias it.
func ParseFeed(body []byte, m *Feed) error {
	*m = Feed{}
	d := decoder{b: body}
	seen := false
	for d.next() {
		switch d.num {
		case 1:
			copy(m.DiscoveryKey[:], d.fixed("discoveryKey", KeyLen))
			seen = true
		case 2:
			m.Nonce = d.fixed("nonce", NonceLen)
		case 3:
			m.Capability = d.fixed("capability", KeyLen)
		case 4:
			m.Answers = d.bytes("answers")
		default:
			d.skip()
		}
	}
	d.need(seen, "discoveryKey")
	return d.done(TypeFeed)
}

// Handshake tells who the sender is and how it replicates (hypercore 6, type 1). Only the first of
// a stream counts, on whichever channel it comes.
type Handshake struct {
	ID         []byte   // up to MaxID bytes, nil if none
	Live       bool     // the sender stays after it has everything
	UserData   []byte   // for the application, up to MaxUserData bytes, nil if none
	Extensions []string // names in ascending order; an extension's id is its position here
	Ack        bool     // the sender wants every Data answered by Have with Ack
}

// AppendHandshake appends a Handshake frame. It always has Live and Ack, so it is never empty.
func AppendHandshake(dst []byte, channel uint64, m Handshake) []byte {
	n := 4
	if m.ID != nil {
		n += bytesLen(len(m.ID))
	}
	if m.UserData != nil {
		n += bytesLen(len(m.UserData))
	}
	for _, e := range m.Extensions {
		n += bytesLen(len(e))
	}
	dst = appendHeader(dst, channel, TypeHandshake, n)
	if m.ID != nil {
		dst = appendBytes(dst, 0x0a, m.ID)
	}
	dst = appendBool(dst, 0x10, m.Live)
	if m.UserData != nil {
		dst = appendBytes(dst, 0x1a, m.UserData)
	}
	for _, e := range m.Extensions {
		dst = append(appendField(dst, 0x22, uint64(len(e))), e...)
	}
	return appendBool(dst, 0x28, m.Ack)
}

// ParseHandshake reads the body of a Handshake frame. ID and UserData alias it.
func ParseHandshake(body []byte, m *Handshake) error {
	*m = Handshake{}
	d := decoder{b: body}
	for d.next() {
		switch d.num {
		case 1:
			if m.ID = d.bytes("id"); len(m.ID) > MaxID {
				d.fail("id", ErrTooMany)
			}
		case 2:
			m.Live = d.bool("live")
		case 3:
			if m.UserData = d.bytes("userData"); len(m.UserData) > MaxUserData {
				d.fail("userData", ErrTooMany)
			}
		case 4:
			e := d.bytes("extensions")
			if len(e) > MaxExtensionName || len(m.Extensions) == MaxExtensions {
				d.fail("extensions", ErrTooMany)
			} else if d.err == nil {
				m.Extensions = append(m.Extensions, string(e))
			}
		case 5:
			m.Ack = d.bool("ack")
		default:
			d.skip()
		}
	}
	return d.done(TypeHandshake)
}

// Info tells what the sender still does on a channel (hypercore 6, type 2).
type Info struct {
	Uploading   bool
	Downloading bool
}

// AppendInfo appends an Info frame.
func AppendInfo(dst []byte, channel uint64, m Info) []byte {
	dst, at := openSmall(dst, channel, TypeInfo)
	return closeSmall(appendBool(appendBool(dst, 0x08, m.Uploading), 0x10, m.Downloading), at)
}

// ParseInfo reads the body of an Info frame.
func ParseInfo(body []byte, m *Info) error {
	*m = Info{}
	d := decoder{b: body}
	for d.next() {
		switch d.num {
		case 1:
			m.Uploading = d.bool("uploading")
		case 2:
			m.Downloading = d.bool("downloading")
		default:
			d.skip()
		}
	}
	return d.done(TypeInfo)
}

// AppendExtension appends an Extension frame: id is the position of the extension's name in the
// sender's own Handshake.Extensions.
func AppendExtension(dst []byte, channel, id uint64, payload []byte) []byte {
	dst = appendHeader(dst, channel, TypeExtension, varintLen(id)+len(payload))
	return append(AppendVarint(dst, id), payload...)
}

// ParseExtension reads the body of an Extension frame. The payload aliases it.
func ParseExtension(body []byte) (id uint64, payload []byte, err error) {
	d := decoder{b: body}
	id = d.int("id")
	return id, d.b[d.i:], d.done(TypeExtension)
}
