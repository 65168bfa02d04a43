// Package port has ports for tests that have to know one before somebody listens
// there, or come back to it.
package port

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// Free returns a TCP port on 127.0.0.1 where nobody listens. The system does not give
// it to others meanwhile: it takes those for connections, and for listeners that leave
// the choice to it, from 32768 on.
func Free() (int, error) {
	var last error
	for range 100 {
		port := 10_000 + rand.IntN(20_000)
		l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return port, l.Close()
		}
		last = err
	}
	return 0, errors.Join(errors.New("port: none is free"), last)
}
