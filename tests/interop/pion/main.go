// The client of pion/turn (Debian's golang-github-pion-turn.v2-dev, 2.1) against a TURN server: ../test_pion.py builds and runs it.
//
// Two clients allocate. One echoes with a plain UDP peer, by indication first and by channel then, and both send to each
// other's relayed address; all that for a while, so that refreshes fall into it. Exits with 0 if every datagram came as it was sent.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/pion/dtls/v2"
	"github.com/pion/transport"
	"github.com/pion/transport/stdnet"
	"github.com/pion/turn/v2"
)

const patience = 10 * time.Second

var (
	overFlag   = flag.String("transport", "udp", "udp, tcp, tls or dtls")
	serverFlag = flag.String("server", "127.0.0.1:3478", "its address and port")
	caFlag     = flag.String("ca", "", "who signed its certificate (PEM)")
	userFlag   = flag.String("user", "", "name")
	wordFlag   = flag.String("password", "", "password")
	whileFlag  = flag.Duration("while", 0, "how long to send")
)

func must(err error, doing string) {
	if err != nil {
		fmt.Printf("%s: %v\n", doing, err)
		os.Exit(1)
	}
}

// pion resolves its server as IPv4 only; the rest of it takes either family.
type anyFamily struct{ transport.Net }

func (anyFamily) ResolveUDPAddr(_, address string) (*net.UDPAddr, error) {
	return net.ResolveUDPAddr("udp", address)
}

// Each read of DTLS is one record, and a record is one datagram.
type records struct{ net.Conn }

func (r records) ReadFrom(p []byte) (int, net.Addr, error) {
	n, err := r.Read(p)
	return n, r.RemoteAddr(), err
}

func (r records) WriteTo(p []byte, _ net.Addr) (int, error) {
	return r.Write(p)
}

func authorities() *x509.CertPool {
	pool := x509.NewCertPool()
	text, err := os.ReadFile(*caFlag)
	must(err, "read the CA")
	pool.AppendCertsFromPEM(text)
	return pool
}

// dial returns what carries messages to the server, and its end of it.
func dial() (net.PacketConn, net.Addr) {
	host, _, err := net.SplitHostPort(*serverFlag)
	must(err, "take the server's address apart")
	switch *overFlag {
	case "udp":
		conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(host)})
		must(err, "open a socket")
		return conn, conn.LocalAddr()
	case "tcp":
		conn, err := net.Dial("tcp", *serverFlag)
		must(err, "connect")
		return turn.NewSTUNConn(conn), conn.LocalAddr()
	case "tls":
		conn, err := tls.Dial("tcp", *serverFlag, &tls.Config{RootCAs: authorities(), NextProtos: []string{"stun.turn"}})
		must(err, "connect with TLS")
		return turn.NewSTUNConn(conn), conn.LocalAddr()
	}
	address, err := net.ResolveUDPAddr("udp", *serverFlag)
	must(err, "resolve the server")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := dtls.DialWithContext(ctx, "udp", address, &dtls.Config{RootCAs: authorities(), ServerName: host})
	must(err, "connect with DTLS")
	return records{conn}, conn.LocalAddr()
}

func port(address net.Addr) int {
	switch a := address.(type) {
	case *net.UDPAddr:
		return a.Port
	case *net.TCPAddr:
		return a.Port
	}
	return 0
}

// allocate returns a client, and its relayed address as a socket.
func allocate() (*turn.Client, net.PacketConn) {
	plain, err := stdnet.NewNet()
	must(err, "look at the network")
	conn, local := dial()
	client, err := turn.NewClient(&turn.ClientConfig{
		STUNServerAddr: *serverFlag, TURNServerAddr: *serverFlag, Conn: conn,
		Username: *userFlag, Password: *wordFlag, Net: anyFamily{plain},
	})
	must(err, "make a client")
	must(client.Listen(), "listen")
	mapped, err := client.SendBindingRequest()
	must(err, "binding")
	if port(mapped) != port(local) {
		must(fmt.Errorf("%v instead of %v", mapped, local), "mapped address")
	}
	relayed, err := client.Allocate()
	must(err, "allocate")
	return client, relayed
}

// pass sends one datagram and waits for it at the other side.
func pass(from net.PacketConn, to net.PacketConn, size int) {
	sent, got := make([]byte, size), make([]byte, 65536)
	_, err := rand.Read(sent)
	must(err, "draw")
	_, err = from.WriteTo(sent, to.LocalAddr())
	must(err, "send")
	must(to.SetReadDeadline(time.Now().Add(patience)), "set a deadline")
	n, source, err := to.ReadFrom(got)
	must(err, fmt.Sprintf("receive what %v sent to %v", from.LocalAddr(), to.LocalAddr()))
	if !bytes.Equal(got[:n], sent) || source.String() != from.LocalAddr().String() {
		must(fmt.Errorf("%d bytes from %v instead of %d from %v", n, source, size, from.LocalAddr()), "receive")
	}
}

func main() {
	flag.Parse()
	one, first := allocate()
	two, second := allocate()
	ip := first.LocalAddr().(*net.UDPAddr).IP
	peer, err := net.ListenUDP("udp", &net.UDPAddr{IP: ip})
	must(err, "open the peer's socket")
	must(one.CreatePermission(peer.LocalAddr(), second.LocalAddr()), "create permissions")
	must(two.CreatePermission(first.LocalAddr()), "create a permission")

	rounds := 0
	for end := time.Now().Add(*whileFlag); rounds < 10 || time.Now().Before(end); rounds++ {
		// Of a stream, pion takes no frame of less than nine bytes before more comes.
		for _, size := range []int{5, 6, 7, 8, 160, 1200} {
			pass(first, peer, size)
			pass(peer, first, size)
			pass(first, second, size)
			pass(second, first, size)
		}
		time.Sleep(50 * time.Millisecond) // leaves the machine to others
	}
	must(first.Close(), "close")
	must(second.Close(), "close")
	one.Close()
	two.Close()
	fmt.Printf("rounds %d, relayed %v and %v\n", rounds, first.LocalAddr(), second.LocalAddr())
}
