//! An SQLite VFS that does what the system's does and keeps a record of it, and that fails when it is told to.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use rusqlite::ffi::{self, sqlite3_file, sqlite3_io_methods, sqlite3_vfs};

use super::disk::Event;

/// What happened to the files of one store, and what is to go wrong.
#[derive(Default)]
pub(crate) struct Recorder {
    events: Mutex<Vec<Event>>,
    failing_syncs: AtomicU32,
    failing_writes: AtomicU32,
}

impl Recorder {
    /// A recorder, and the name of the VFS that it records. It lives as long as the process, as SQLite wants it.
    pub(crate) fn register() -> (&'static Self, String) {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("recorded-{}", NEXT.fetch_add(1, Ordering::SeqCst));
        let recorder: &'static Self = Box::leak(Box::default());
        let c_name = CString::new(name.clone()).expect("no NUL in it").into_raw();
        // SAFETY: a null name asks for the default VFS, which is never unregistered.
        let base = unsafe { ffi::sqlite3_vfs_find(std::ptr::null()) };
        assert!(!base.is_null(), "SQLite has a default VFS");
        // SAFETY: `base` is a valid VFS; the copy keeps those of its functions that do not look at their VFS.
        let mut vfs = unsafe { *base };
        vfs.zName = c_name;
        vfs.pAppData = std::ptr::from_ref(recorder).cast_mut().cast();
        vfs.szOsFile += size_of::<Recorded>() as c_int;
        vfs.xOpen = Some(open);
        vfs.xDelete = Some(delete);
        vfs.pNext = std::ptr::null_mut();
        // SAFETY: the VFS and its name are leaked, so they outlive every use.
        let registered = unsafe { ffi::sqlite3_vfs_register(Box::leak(Box::new(vfs)), 0) };
        assert_eq!(registered, ffi::SQLITE_OK);
        (recorder, name)
    }

    pub(crate) fn push(&self, event: Event) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets the next syncs fail.
    pub(crate) fn fail_syncs(&self, times: u32) {
        self.failing_syncs.store(times, Ordering::SeqCst);
    }

    /// Lets the next writes find the disk full.
    pub(crate) fn fail_writes(&self, times: u32) {
        self.failing_writes.store(times, Ordering::SeqCst);
    }
}

fn strikes(left: &AtomicU32) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

/// An open file: SQLite's part, ours, and right behind it the system's file.
#[repr(C)]
struct Recorded {
    sqlite: sqlite3_file,
    recorder: *const Recorder,
    /// The name of the file in its directory; null for one that is not recorded.
    name: *mut c_char,
}

impl Recorded {
    /// The file of the system's VFS.
    ///
    /// # Safety
    /// `file` was opened by [`open`].
    unsafe fn real(file: *mut sqlite3_file) -> *mut sqlite3_file {
        // SAFETY: SQLite allocated `szOsFile` bytes, which is this struct and the system's file behind it.
        unsafe { file.cast::<Self>().add(1).cast() }
    }

    /// # Safety
    /// `file` was opened by [`open`].
    unsafe fn methods(file: *mut sqlite3_file) -> &'static sqlite3_io_methods {
        // SAFETY: an open file of the system's VFS has methods, which are static.
        unsafe { &*(*Self::real(file)).pMethods }
    }

    /// # Safety
    /// `file` was opened by [`open`].
    unsafe fn record(file: *mut sqlite3_file, event: impl FnOnce(String) -> Event) {
        // SAFETY: our part was filled by `open`; the recorder is leaked, the name lives until `close`.
        unsafe {
            let this = &*file.cast::<Self>();
            if !this.name.is_null() {
                let name = CStr::from_ptr(this.name).to_string_lossy().into_owned();
                (*this.recorder).push(event(name));
            }
        }
    }

    /// # Safety
    /// `file` was opened by [`open`].
    unsafe fn recorder(file: *mut sqlite3_file) -> &'static Recorder {
        // SAFETY: the recorder is leaked.
        unsafe { &*(*file.cast::<Self>()).recorder }
    }
}

fn file_name(path: &CStr) -> String {
    let path = path.to_string_lossy();
    path.rsplit('/').next().unwrap_or_default().to_owned()
}

/// Version 2 of the methods: with shared memory, without memory mapping.
static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

unsafe extern "C" fn open(
    vfs: *mut sqlite3_vfs,
    path: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let kept = ffi::SQLITE_OPEN_MAIN_DB | ffi::SQLITE_OPEN_WAL | ffi::SQLITE_OPEN_MAIN_JOURNAL;
    // SAFETY: SQLite gives room for `szOsFile` bytes and a valid or null path; the system's VFS gets itself, as its
    // `xOpen` looks at its own application data.
    unsafe {
        let base = ffi::sqlite3_vfs_find(std::ptr::null());
        let this = file.cast::<Recorded>();
        (*this).sqlite.pMethods = std::ptr::null();
        (*this).recorder = (*vfs).pAppData.cast();
        (*this).name = std::ptr::null_mut();
        let real = Recorded::real(file);
        (*real).pMethods = std::ptr::null();
        let opened = (*base).xOpen.expect("a VFS opens")(base, path, real, flags, out_flags);
        if (*real).pMethods.is_null() {
            return opened;
        }
        if !path.is_null() && flags & kept != 0 {
            (*this).name = CString::new(file_name(CStr::from_ptr(path))).expect("from a C string").into_raw();
        }
        (*this).sqlite.pMethods = &raw const METHODS;
        opened
    }
}

unsafe extern "C" fn delete(vfs: *mut sqlite3_vfs, path: *const c_char, sync_dir: c_int) -> c_int {
    // SAFETY: a valid path from SQLite; our application data is a leaked recorder.
    unsafe {
        let base = ffi::sqlite3_vfs_find(std::ptr::null());
        let deleted = (*base).xDelete.expect("a VFS deletes")(base, path, sync_dir);
        if deleted == ffi::SQLITE_OK {
            (*(*vfs).pAppData.cast::<Recorder>()).push(Event::Delete { file: file_name(CStr::from_ptr(path)) });
        }
        deleted
    }
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: `file` was opened by `open`, and is not used after this.
    unsafe {
        let closed = Recorded::methods(file).xClose.expect("files close")(Recorded::real(file));
        let name = std::mem::replace(&mut (*file.cast::<Recorded>()).name, std::ptr::null_mut());
        if !name.is_null() {
            drop(CString::from_raw(name));
        }
        closed
    }
}

unsafe extern "C" fn write(file: *mut sqlite3_file, data: *const c_void, bytes: c_int, at: i64) -> c_int {
    // SAFETY: `file` was opened by `open`; `data` points to `bytes` bytes.
    unsafe {
        if strikes(&Recorded::recorder(file).failing_writes) {
            return ffi::SQLITE_FULL;
        }
        let written = Recorded::methods(file).xWrite.expect("files are written")(Recorded::real(file), data, bytes, at);
        if written == ffi::SQLITE_OK {
            let data = std::slice::from_raw_parts(data.cast::<u8>(), usize::try_from(bytes).expect("not negative"));
            let at = usize::try_from(at).expect("not negative");
            Recorded::record(file, |name| Event::Write { file: name, at, data: data.into() });
        }
        written
    }
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: i64) -> c_int {
    // SAFETY: `file` was opened by `open`.
    unsafe {
        let cut = Recorded::methods(file).xTruncate.expect("files are cut")(Recorded::real(file), size);
        if cut == ffi::SQLITE_OK {
            let size = usize::try_from(size).expect("not negative");
            Recorded::record(file, |name| Event::Truncate { file: name, size });
        }
        cut
    }
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: `file` was opened by `open`.
    unsafe {
        if strikes(&Recorded::recorder(file).failing_syncs) {
            return ffi::SQLITE_IOERR_FSYNC;
        }
        let synced = Recorded::methods(file).xSync.expect("files are synced")(Recorded::real(file), flags);
        if synced == ffi::SQLITE_OK {
            Recorded::record(file, |name| Event::Sync { file: name });
        }
        synced
    }
}

/// Methods that only pass on.
macro_rules! passed_on {
    ($($name:ident = $method:ident($($arg:ident: $kind:ty),*) -> $answer:ty;)*) => {$(
        unsafe extern "C" fn $name(file: *mut sqlite3_file $(, $arg: $kind)*) -> $answer {
            // SAFETY: `file` was opened by `open`; the other arguments are passed on as they came.
            unsafe { Recorded::methods(file).$method.expect("the system's VFS has it")(Recorded::real(file) $(, $arg)*) }
        }
    )*};
}

passed_on! {
    read = xRead(data: *mut c_void, bytes: c_int, at: i64) -> c_int;
    file_size = xFileSize(size: *mut i64) -> c_int;
    lock = xLock(level: c_int) -> c_int;
    unlock = xUnlock(level: c_int) -> c_int;
    check_reserved_lock = xCheckReservedLock(held: *mut c_int) -> c_int;
    file_control = xFileControl(op: c_int, arg: *mut c_void) -> c_int;
    sector_size = xSectorSize() -> c_int;
    device_characteristics = xDeviceCharacteristics() -> c_int;
    shm_map = xShmMap(page: c_int, bytes: c_int, extend: c_int, mapped: *mut *mut c_void) -> c_int;
    shm_lock = xShmLock(offset: c_int, count: c_int, flags: c_int) -> c_int;
    shm_barrier = xShmBarrier() -> ();
    shm_unmap = xShmUnmap(delete: c_int) -> c_int;
}
