package control

import (
	"net/http"
	"time"
)

// Handler is what a server answers requests with.
func Handler(s *Server) http.Handler { return s.http.Handler }

// Frames of blocks.
var (
	AppendFrame = appendFrame
	ReadFrame   = readFrame
)

// SetPatience bounds questions that a node answers at once.
func (c *Client) SetPatience(d time.Duration) { c.patience = d }
