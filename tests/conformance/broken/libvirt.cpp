// SPDX-License-Identifier: Apache-2.0
// What the plugin asks of libvirt, and what is wrong with it.
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <unistd.h>

#include <thread>

#include "defects.h"

using broken::acts;
using broken::seen;

extern "C" {
virConnectPtr __real_virConnectOpenAuth(const char*, virConnectAuthPtr, unsigned int);
virConnectPtr __wrap_virConnectOpenAuth(const char*, virConnectAuthPtr, unsigned int);
virDomainPtr __real_virDomainLookupByUUIDString(virConnectPtr, const char*);
virDomainPtr __wrap_virDomainLookupByUUIDString(virConnectPtr, const char*);
int __real_virDomainGetState(virDomainPtr, int*, int*, unsigned int);
int __wrap_virDomainGetState(virDomainPtr, int*, int*, unsigned int);
int __real_virDomainGetJobStats(virDomainPtr, int*, virTypedParameterPtr*, int*, unsigned int);
int __wrap_virDomainGetJobStats(virDomainPtr, int*, virTypedParameterPtr*, int*, unsigned int);
int __real_virDomainIsPersistent(virDomainPtr);
int __wrap_virDomainIsPersistent(virDomainPtr);
int __real_virDomainMigrateGetMaxDowntime(virDomainPtr, unsigned long long*, unsigned int);
int __wrap_virDomainMigrateGetMaxDowntime(virDomainPtr, unsigned long long*, unsigned int);
int __real_virDomainMigrateToURI3(virDomainPtr, const char*, virTypedParameterPtr, unsigned int, unsigned int);
int __wrap_virDomainMigrateToURI3(virDomainPtr, const char*, virTypedParameterPtr, unsigned int, unsigned int);
int __real_virDomainAbortJob(virDomainPtr);
int __wrap_virDomainAbortJob(virDomainPtr);
}

namespace {

std::atomic<virDomainPtr> migrating{nullptr};

/// A call that may hang.
class Look {
  public:
    Look() : began_(broken::Clock::now()) { seen().look_began = began_.time_since_epoch().count(); }
    ~Look() {
        seen().look_began = 0;
        if (broken::Clock::now() - began_ > std::chrono::milliseconds(500)) seen().long_look = true;
    }
    Look(const Look&) = delete;
    Look& operator=(const Look&) = delete;

  private:
    broken::Clock::time_point began_;
};

bool job_active(virDomainPtr domain) {
    int type = 0;
    int count = 0;
    virTypedParameterPtr list = nullptr;
    if (__real_virDomainGetJobStats(domain, &type, &list, &count, 0) != 0) return false;
    virTypedParamsFree(list, count);
    return type == VIR_DOMAIN_JOB_UNBOUNDED;
}

}  // namespace

bool broken::guest_is_running() {
    int state = 0;
    return migrating != nullptr && __real_virDomainGetState(migrating, &state, nullptr, 0) == 0 &&
           state == VIR_DOMAIN_RUNNING;
}

virConnectPtr __wrap_virConnectOpenAuth(const char* uri, virConnectAuthPtr auth, unsigned int flags) {
    if (!seen().asked) {
        seen().source = uri;
        seen().asked = true;
    }
    const std::string where = uri;
    if (acts("CFG-18", where == "fake:///elsewhere")) uri = "fake:///source";
    if (acts("CFG-1.default-missing", where == "qemu:///system")) uri = "qemu:///session";
    virConnectPtr connection = __real_virConnectOpenAuth(uri, auth, flags);
    (connection != nullptr ? seen().opened : seen().refused) = true;
    return connection;
}

virDomainPtr __wrap_virDomainLookupByUUIDString(virConnectPtr connection, const char* uuid) {
    virDomainPtr domain = __real_virDomainLookupByUUIDString(connection, uuid);
    std::string other = uuid;
    if (domain == nullptr || other.back() != '2') return domain;
    other.back() = '1';
    if (!acts("ARG-2", true)) return domain;
    virDomainFree(domain);
    return __real_virDomainLookupByUUIDString(connection, other.c_str());
}

int __wrap_virDomainGetState(virDomainPtr domain, int* state, int* reason, unsigned int flags) {
    const Look look;
    const int answer = __real_virDomainGetState(domain, state, reason, flags);
    if (answer == 0 && reason != nullptr) {
        if (*state == VIR_DOMAIN_PAUSED && *reason == VIR_DOMAIN_PAUSED_POSTCOPY) seen().postcopy = true;
        seen().resumed = *state == VIR_DOMAIN_RUNNING && *reason == VIR_DOMAIN_RUNNING_UNPAUSED;
    }
    return answer;
}

int __wrap_virDomainGetJobStats(virDomainPtr domain, int* type, virTypedParameterPtr* list, int* count,
                                unsigned int flags) {
    const Look look;
    const int answer = __real_virDomainGetJobStats(domain, type, list, count, flags);
    if (answer == 0 && flags == 0 && *type == VIR_DOMAIN_JOB_UNBOUNDED)
        (seen().began ? seen().sampled : seen().taken_over) = true;
    return answer;
}

int __wrap_virDomainIsPersistent(virDomainPtr domain) {
    const int answer = __real_virDomainIsPersistent(domain);
    seen().persistent = answer == 1;
    return answer;
}

int __wrap_virDomainMigrateGetMaxDowntime(virDomainPtr domain, unsigned long long* limit, unsigned int flags) {
    const int answer = __real_virDomainMigrateGetMaxDowntime(domain, limit, flags);
    constexpr unsigned long long unusual = 777;
    if (answer == 0 && acts("FAIL-13", *limit == unusual)) virDomainMigrateSetMaxDowntime(domain, 1, 0);
    return answer;
}

int __wrap_virDomainMigrateToURI3(virDomainPtr domain, const char* destination, virTypedParameterPtr list,
                                  unsigned int count, unsigned int flags) {
    migrating = domain;
    seen().began = true;
    const char* uri = destination;
    virTypedParameterPtr parameter = virTypedParamsGet(list, static_cast<int>(count), VIR_MIGRATE_PARAM_URI);
    const bool swapped = parameter != nullptr && acts("ARG-1", true);
    if (swapped) {
        uri = parameter->value.s;
        parameter->value.s = const_cast<char*>(destination);
    }
    const int answer = __real_virDomainMigrateToURI3(domain, uri, list, count, flags);
    if (swapped) parameter->value.s = const_cast<char*>(uri);
    const int code = answer == 0 ? VIR_ERR_OK : virGetLastErrorCode();
    if (answer == 0) {
        int state = 0;
        const bool there = __real_virDomainGetState(domain, &state, nullptr, 0) == 0 && state != VIR_DOMAIN_SHUTOFF;
        if (acts("COMP-3", there)) broken::end_as_success();
        if (acts("PROC-1", seen().persistent)) __real_virDomainMigrateToURI3(domain, destination, list, count, flags);
    } else {
        // On a thread of its own: the error belongs to this one, and is to be read still.
        bool connected = false;
        std::thread([&] { connected = virConnectIsAlive(virDomainGetConnect(domain)) == 1; }).join();
        if (acts("COMP-5", code == VIR_ERR_SYSTEM_ERROR && connected)) broken::end_as_error(8);
    }
    return answer;
}

int __wrap_virDomainAbortJob(virDomainPtr domain) {
    if (acts("SIG-5", seen().abort_refused)) return -1;
    const int answer = __real_virDomainAbortJob(domain);
    if (answer != 0) {
        seen().abort_refused = true;
        return answer;
    }
    constexpr unsigned int longer_than_usual_us = 80'000;
    if (broken::concerns("SIG-3")) {
        ::usleep(longer_than_usual_us);
        if (acts("SIG-3", job_active(domain))) broken::end_as_error(9);
    }
    return answer;
}
