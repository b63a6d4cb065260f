"! The renewal lock of one alias: lock object EZTKW_TOKENS at the enqueue server, over all application servers.
"! Scope 1: it belongs to this session, not to its update tasks, and no COMMIT WORK gives it back.
CLASS zcl_tkw_lock DEFINITION PUBLIC FINAL CREATE PUBLIC.

  PUBLIC SECTION.
    "! @parameter alias | whose token is to be renewed
    METHODS constructor
      IMPORTING
        alias TYPE ztkw_alias.

    "! Tries once and never waits: whoever waits must look at the table between two tries.
    METHODS acquire
      RETURNING
        VALUE(held) TYPE abap_bool.

    "! Gives the lock back; without effect when it is not held.
    METHODS release.

  PROTECTED SECTION.
  PRIVATE SECTION.
    DATA alias TYPE ztkw_alias.
ENDCLASS.


CLASS zcl_tkw_lock IMPLEMENTATION.

  METHOD constructor.
    me->alias = alias.
  ENDMETHOD.

  METHOD acquire.
    CALL FUNCTION 'ENQUEUE_EZTKW_TOKENS'
      EXPORTING
        mandt          = sy-mandt
        client_alias   = alias
        _scope         = '1'
        _wait          = abap_false
      EXCEPTIONS
        foreign_lock   = 1
        system_failure = 2
        OTHERS         = 3.
    held = boolc( sy-subrc = 0 ).
  ENDMETHOD.

  METHOD release.
    CALL FUNCTION 'DEQUEUE_EZTKW_TOKENS'
      EXPORTING
        mandt        = sy-mandt
        client_alias = alias
        _scope       = '1'.
  ENDMETHOD.

ENDCLASS.
