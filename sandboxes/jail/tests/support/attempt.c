/* Tries one forbidden thing after the other from inside a sandbox, and prints what came of each: its name and 0 or the
   errno. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <time.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void said(const char *name, long result) { printf("%s %d\n", name, result < 0 ? errno : 0); }

static void reach(const char *name, const char *address, int port) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
  inet_pton(AF_INET, address, &to.sin_addr);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  said(name, connect(fd, (struct sockaddr *)&to, sizeof to));
  close(fd);
}

static void abstract_socket(const char *text) {
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  strncpy(to.sun_path + 1, text, sizeof to.sun_path - 2);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  said("abstract-socket", connect(fd, (struct sockaddr *)&to, offsetof(struct sockaddr_un, sun_path) + 1 + strlen(text)));
  close(fd);
}

static void refused(const char *abstract_name, int host_port) {
  said("mount", mount("none", "/tmp", "tmpfs", 0, ""));
  said("umount", umount2("/tmp", MNT_DETACH));
  said("pivot-root", syscall(SYS_pivot_root, "/tmp", "/tmp"));
  said("chroot", chroot("/tmp"));
  said("ptrace-init", ptrace(PTRACE_ATTACH, 1, 0, 0));
  said("unshare-user", unshare(CLONE_NEWUSER));
  said("unshare-mount", unshare(CLONE_NEWNS));
  said("setns", setns(open("/proc/self/ns/net", O_RDONLY), 0));
  said("clone-user", syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
  said("clone3", syscall(SYS_clone3, 0, 0));
  said("setuid-root", setuid(0));
  said("setgid-root", setgid(0));
  said("setgroups", setresgid(5, 5, 5));
  said("bpf", syscall(SYS_bpf, 0, 0, 0));
  said("keyctl", syscall(SYS_keyctl, 0, 0, 0, 0, 0));
  said("perf-event", syscall(SYS_perf_event_open, 0, 0, 0, 0, 0));
  said("io-uring", syscall(SYS_io_uring_setup, 1, 0));
  said("userfaultfd", syscall(SYS_userfaultfd, 0));
  said("personality", personality(ADDR_NO_RANDOMIZE));
  said("packet-socket", socket(AF_PACKET, SOCK_RAW, 0));
  said("raw-socket", socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
  said("vsock", socket(AF_VSOCK, SOCK_STREAM, 0));
  said("netlink-audit", socket(AF_NETLINK, SOCK_RAW, 9));
  said("tiocsti", ioctl(0, 0x5412, "x"));
  said("device", mknod("/tmp/disk", S_IFBLK | 0600, 8 << 8));
  said("sethostname", sethostname("x", 1));
  said("init-memory", open("/proc/1/mem", O_RDWR));
  said("init-root", open("/proc/1/root/tmp", O_RDONLY));
  said("write-root", mkdir("/made", 0755));
  said("write-usr", open("/usr/made", O_CREAT | O_WRONLY, 0644));
  said("write-etc", open("/etc/hosts", O_WRONLY));
  said("write-dev", open("/dev/made", O_CREAT | O_WRONLY, 0644));
  said("write-proc", open("/proc/sys/kernel/hostname", O_WRONLY));
  said("sysrq", open("/proc/sysrq-trigger", O_WRONLY));
  said("suid-file", chmod("/usr/bin/env", 04755));
  said("kmem", open("/dev/mem", O_RDONLY));
  said("sys", open("/sys", O_RDONLY));
  said("tty", open("/dev/tty", O_RDWR));
  reach("public-network", "192.0.2.1", 80);
  reach("metadata", "169.254.169.254", 80);
  reach("host-loopback", "127.0.0.1", host_port);
  abstract_socket(abstract_name);
  said("kill-outside", kill(host_port + 100000, SIGKILL));
}

static int fork_bomb(void) {
  int made = 0;
  for (;;) {
    int pid = fork();
    if (pid == 0) { for (;;) pause(); }
    if (pid < 0) break;
    made++;
  }
  printf("forked %d errno %d\n", made, errno);
  return 0;
}

static int hog(void) {
  for (;;) {
    char *more = malloc(1 << 20);
    if (!more) return 9;
    for (int i = 0; i < 1 << 20; i += 4096) more[i] = 1;
  }
}

/* The child takes the memory; the parent would live on. */
static int hog_in_child(void) {
  if (fork() == 0) return hog();
  for (;;) pause();
}

static int fill(const char *dir) {
  char path[256];
  snprintf(path, sizeof path, "%s/full", dir);
  int fd = open(path, O_CREAT | O_WRONLY, 0600);
  static char block[1 << 16];
  long written = 0;
  for (;;) {
    ssize_t n = write(fd, block, sizeof block);
    if (n <= 0) break;
    written += n;
  }
  printf("wrote %ld errno %d\n", written, errno);
  return 0;
}

static int inodes(const char *dir) {
  char path[256];
  int made = 0;
  for (;; made++) {
    snprintf(path, sizeof path, "%s/%d", dir, made);
    int fd = open(path, O_CREAT | O_WRONLY | O_EXCL, 0600);
    if (fd < 0) break;
    close(fd);
  }
  printf("files %d errno %d\n", made, errno);
  return 0;
}

/* A loop over every signal that might move init. */
static int signal_init(void) {
  for (int signal = 1; signal < 65; signal++) kill(1, signal);
  printf("still here\n");
  return 0;
}

static int count_up(void) {
  setvbuf(stdout, 0, _IONBF, 0);
  for (long n = 0;; n++) {
    printf("%ld\n", n);
    usleep(1000);
  }
}

static int burn(int ms) {
  struct timespec t;
  do clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  while (t.tv_sec * 1000 + t.tv_nsec / 1000000 < ms);
  printf("burnt\n");
  return 0;
}

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "";
  if (!strcmp(what, "refused")) return refused(argv[2], atoi(argv[3])), 0;
  if (!strcmp(what, "fork-bomb")) return fork_bomb();
  if (!strcmp(what, "hog")) return hog();
  if (!strcmp(what, "hog-in-child")) return hog_in_child();
  if (!strcmp(what, "fill")) return fill(argv[2]);
  if (!strcmp(what, "inodes")) return inodes(argv[2]);
  if (!strcmp(what, "signal-init")) return signal_init();
  if (!strcmp(what, "count-up")) return count_up();
  if (!strcmp(what, "burn")) return burn(atoi(argv[2]));
  if (!strcmp(what, "hello")) return write(1, "hello", 5) != 5;
  return 2;
}
