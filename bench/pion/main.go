// A TURN server of pion/turn (Debian's golang-github-pion-turn.v2-dev), for bench/run relay --pion, which builds and starts it:
// ADDRESS:PORT USER PASSWORD REALM, over UDP, until it is killed.
package main

import (
	"log"
	"net"
	"os"

	"github.com/pion/turn/v2"
)

func main() {
	if len(os.Args) != 5 {
		log.Fatal("usage: pion ADDRESS:PORT USER PASSWORD REALM")
	}
	at, user, realm := os.Args[1], os.Args[2], os.Args[4]
	key := turn.GenerateAuthKey(user, realm, os.Args[3])
	listener, err := net.ListenPacket("udp4", at)
	if err != nil {
		log.Fatal(err)
	}
	ip, _, err := net.SplitHostPort(at)
	if err != nil {
		log.Fatal(err)
	}
	_, err = turn.NewServer(turn.ServerConfig{
		Realm: realm,
		AuthHandler: func(name, _ string, _ net.Addr) ([]byte, bool) {
			return key, name == user
		},
		PacketConnConfigs: []turn.PacketConnConfig{{
			PacketConn:            listener,
			RelayAddressGenerator: &turn.RelayAddressGeneratorStatic{RelayAddress: net.ParseIP(ip), Address: ip},
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	select {}
}
