# SPDX-License-Identifier: ISC
"""nginx as an IMAP proxy, with the main part of its configuration from the test.

    with Nginx(tmp_path / "nginx", conf=text, ports=[imap_port]) as server: ...
"""
import signal

from .guest import Guest

MAIN = """\
load_module /usr/lib/nginx/modules/ngx_mail_module.so;
daemon off;
user nobody nogroup;
worker_processes 1;
pid /run/nginx.pid;
error_log /inst/log info;
events {}
"""


class Nginx(Guest):
    """See the top of this file."""

    tree_name = "nginx"
    etc = "/etc/nginx"
    hostname = "nginx.test"

    def __init__(self, folder, conf="", ports=(), hostname="nginx.test"):
        super().__init__(folder)
        self.conf, self.hostname = conf, hostname
        self.listens = list(ports)

    def argv(self):
        return ["/usr/sbin/nginx", "-c", "/etc/nginx/nginx.conf"]

    def ports(self):
        return self.listens

    def start(self, timeout=30):
        self.folder("var/lib/nginx")
        self.folder("var/log/nginx")
        self.write("etc/nginx.conf", MAIN + self.conf)
        return super().start(timeout)

    def reload(self):
        """As `nginx -s reload`; the workers of before go when their last connection has ended."""
        self.run("/usr/sbin/nginx", "-t", "-c", "/etc/nginx/nginx.conf")
        self.signal(signal.SIGHUP)
