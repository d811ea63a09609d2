// SPDX-License-Identifier: Apache-2.0
#include "core/uri.h"

#include <gtest/gtest.h>

#include "core/check.h"

namespace vmmi {
namespace {

struct Case {
    const char* text;
    const char* scheme;
    const char* transport;
    const char* host;
    const char* port;
    const char* path;
    const char* query;
};

TEST(Uri, IsTakenApart) {
    for (const Case& c : {
             Case{"qemu:///system", "qemu", "", "", "", "/system", ""},
             Case{"qemu+ssh://root@host2/system", "qemu", "ssh", "host2", "", "/system", ""},
             Case{"QEMU+TCP://u:p@s:w@h:16509/system?a=b&c#d", "qemu", "tcp", "h", "16509", "/system", "a=b&c"},
             Case{"qemu+unix:///system?socket=/run/a@b", "qemu", "unix", "", "", "/system", "socket=/run/a@b"},
             Case{"tcp://[::1]:49152", "tcp", "", "::1", "49152", "", ""},
             Case{"tcp://[::1", "tcp", "", "::1", "", "", ""},
             Case{"tcp:host", "tcp", "", "host", "", "", ""},
             Case{"tcp:host:1", "tcp", "", "host", "1", "", ""},
             Case{"tcp:/path", "tcp", "", "", "", "", ""},
             Case{"rdma:host", "rdma", "", "", "", "", ""},
             Case{"rdma://host", "rdma", "", "host", "", "", ""},
             Case{"unix:///run/x", "unix", "", "", "", "/run/x", ""},
             Case{"tcp://?x", "tcp", "", "", "", "", "x"},
             Case{"tcp://", "tcp", "", "", "", "", ""},
             Case{"host", "", "", "", "", "", ""},
             Case{"", "", "", "", "", "", ""},
         }) {
        const Uri uri = parse_uri(c.text);
        EXPECT_EQ(uri.scheme, c.scheme) << c.text;
        EXPECT_EQ(uri.transport, c.transport) << c.text;
        EXPECT_EQ(uri.host, c.host) << c.text;
        EXPECT_EQ(uri.port, c.port) << c.text;
        EXPECT_EQ(uri.path, c.path) << c.text;
        EXPECT_EQ(uri.query, c.query) << c.text;
    }
}

TEST(Loopback, IsKnownByNameAndByAddress) {
    for (const char* host : {"localhost", "LOCALHOST", "localhost.", "localhost.localdomain", "a.localhost",
                             "127.0.0.1", "127.255.1.2", "::1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1"})
        EXPECT_TRUE(is_loopback(host)) << host;
    for (const char* host : {"", "host", "localhost2", "128.0.0.1", "0.0.0.0", "::", "::2", "fe80::1", "1::1",
                             "::ffff:10.0.0.1", "127.0.0.1.example.org"})
        EXPECT_FALSE(is_loopback(host)) << host;
}

TEST(SourceUri, IsLocalWithoutAHost) {
    EXPECT_TRUE(is_local("qemu:///system"));
    EXPECT_TRUE(is_local("qemu+unix:///system?socket=/run/x"));
    EXPECT_FALSE(is_local("qemu+ssh://host/system"));
    EXPECT_FALSE(is_local("qemu+tcp://127.0.0.1/system"));
}

TEST(HostToLookUp, IsThatOfANetwork) {
    EXPECT_EQ(host_to_look_up("tcp://host2:49152"), "host2");
    EXPECT_EQ(host_to_look_up("rdma://host2"), "host2");
    EXPECT_EQ(host_to_look_up("unix://host2/run/x"), "");
    EXPECT_EQ(host_to_look_up("foo://host2"), "");
}

}  // namespace
}  // namespace vmmi
