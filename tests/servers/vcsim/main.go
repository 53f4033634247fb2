// A vCenter simulator on loopback, as Debian packages its library: vcsim HOST:PORT USER:PASSWORD.
package main

import (
	"crypto/tls"
	"log"
	"net/url"
	"os"

	"github.com/vmware/govmomi/simulator"
)

func main() {
	model := simulator.VPX()
	if err := model.Create(); err != nil {
		log.Fatal(err)
	}
	address, err := url.Parse("https://" + os.Args[2] + "@" + os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	model.Service.Listen = address
	model.Service.TLS = new(tls.Config)
	model.Service.NewServer()
	select {}
}
