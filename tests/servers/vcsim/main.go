// A vCenter simulator on loopback, as Debian packages its library: vcsim HOST:PORT USER:PASSWORD UPLOADS.
//
// The library throws away what is uploaded. Here it is kept in the folder UPLOADS, under the name of the lease, and a
// disk whose grains are damaged is refused, as a host that has to inflate them refuses it.
package main

import (
	"compress/zlib"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"

	"github.com/vmware/govmomi/simulator"
)

const sector = 512

func main() {
	model := simulator.VPX()
	if err := model.Create(); err != nil {
		log.Fatal(err)
	}
	address, err := url.Parse("https://" + os.Args[2] + "@" + os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	host, _, err := net.SplitHostPort(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	model.Service.Listen = address
	model.Service.TLS = new(tls.Config)
	model.Service.ServeMux = http.NewServeMux()
	// A pattern with a host goes before the library's own.
	model.Service.ServeMux.HandleFunc(host+"/nfc/", func(w http.ResponseWriter, r *http.Request) {
		keep(w, r, os.Args[3])
	})
	model.Service.NewServer()
	select {}
}

func keep(w http.ResponseWriter, r *http.Request, folder string) {
	unfinished, err := os.CreateTemp(folder, ".upload")
	if err != nil {
		log.Fatal(err)
	}
	defer os.Remove(unfinished.Name())
	defer unfinished.Close()
	if _, err = io.Copy(unfinished, r.Body); err == nil {
		err = check(unfinished)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	r.Body = http.NoBody
	lease := path.Base(path.Dir(r.URL.Path))
	if err = os.Rename(unfinished.Name(), filepath.Join(folder, lease)); err != nil {
		log.Fatal(err)
	}
	simulator.ServeNFC(w, r) // which knows whether there is such a lease
}

// check inflates all grains of a streamOptimized VMDK; each ends with a checksum.
func check(disk io.ReaderAt) error {
	head := make([]byte, sector)
	if _, err := disk.ReadAt(head, 0); err != nil || string(head[:4]) != "KDMV" {
		return errors.New("no VMDK")
	}
	at := int64(binary.LittleEndian.Uint64(head[64:])) * sector
	for {
		if _, err := disk.ReadAt(head, at); err != nil {
			return errors.New("the VMDK has no end")
		}
		sectors := int64(binary.LittleEndian.Uint64(head))
		size := int64(binary.LittleEndian.Uint32(head[8:]))
		switch kind := binary.LittleEndian.Uint32(head[12:]); {
		case size > 0:
			grain, err := zlib.NewReader(io.NewSectionReader(disk, at+12, size))
			if err == nil {
				_, err = io.Copy(io.Discard, grain)
			}
			if err != nil {
				return err
			}
			at += (12 + size + sector - 1) / sector * sector
		case sectors == 0 && kind == 0:
			return nil
		default:
			at += (1 + sectors) * sector
		}
	}
}
